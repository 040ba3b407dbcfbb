import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { INTEGERS, OPTIONAL, REQUEST_FIELDS, REQUIRED } from './request-schemas.js';
import { RESPONSE_SCHEMAS, ref } from './response-schemas.js';
import { type DocumentedRoute, REFUSALS, ROUTES } from './routes.js';

/** Refusals that every route may answer with. */
const ALWAYS = [500, 503];
/** Those of all routes of /v1. */
const ASKED = [401, 429];
/** The name of the API keys among the security schemes. */
const KEY = 'apiKey';
/** The header of every POST. */
const IDEMPOTENCY = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  schema: { type: 'string', maxLength: 255 },
  description: 'The same request under the same key is done once; sent again within 24 hours, it gets the same answer.',
} as const;
const METHODS = ['get', 'post', 'delete'] as const;

/** Serves the OpenAPI document at /docs/openapi.json, and for people at /docs; that page loads nothing from elsewhere. */
export function serveDocs(app: NestExpressApplication): void {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Longhaul')
    .setDescription('Questions about long documents, on your own machines: the OpenAI Batch API, and jobs.')
    .setVersion('1')
    .addBearerAuth(
      {
        type: 'http',
        scheme: 'bearer',
        description: 'A key that `longhaul keys create` made; needed once there is one.',
      },
      KEY,
    )
    .build();
  const document = completed(SwaggerModule.createDocument(app, config));
  SwaggerModule.setup('docs', app, document, {
    jsonDocumentUrl: 'docs/openapi.json',
    customSiteTitle: 'Longhaul API',
    customCss: '.swagger-ui .topbar { display: none }',
    swaggerOptions: { defaultModelsExpandDepth: 0, persistAuthorization: true },
  });
}

/** What classes and comments say of the requests, with what they cannot say, and the responses. */
function completed(document: OpenAPIObject): OpenAPIObject {
  const schemas: Record<string, object> = { ...document.components?.schemas };
  document.components = { ...document.components, schemas };
  for (const [name, fields] of Object.entries(REQUEST_FIELDS)) {
    const schema = schemas[name] as { properties: Record<string, unknown>; required?: string[] };
    Object.assign(schema.properties, fields);
    const required = schema.required?.filter((field) => !OPTIONAL[name]?.includes(field)) ?? [];
    schema.required = [...required, ...(REQUIRED[name] ?? [])];
  }
  for (const schema of Object.values(schemas)) {
    allowNull(schema);
    const { properties = {} } = schema as { properties?: Record<string, { type?: unknown }> };
    for (const name of INTEGERS) if (properties[name]?.type === 'number') properties[name].type = 'integer';
  }
  Object.assign(schemas, RESPONSE_SCHEMAS);
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      const route = ROUTES[`${method} ${path}`];
      if (!operation || !route) continue;
      operation.operationId = route.id;
      const isOpen = !path.startsWith('/v1/');
      // Without a key as well: while there is none, none is asked for.
      if (!isOpen) operation.security = [{ [KEY]: [] }, {}];
      operation.responses = responsesOf(route, isOpen ? ALWAYS : [...ASKED, ...ALWAYS]) as typeof operation.responses;
      for (const parameter of operation.parameters ?? []) {
        // Queries have a value for what is left out.
        if (!('in' in parameter) || parameter.in !== 'query') continue;
        parameter.required = false;
        if (parameter.name === 'limit') parameter.schema = { ...parameter.schema, type: 'integer' };
      }
      if (method === 'post') operation.parameters = [...(operation.parameters ?? []), IDEMPOTENCY];
      const body = operation.requestBody as { content: Record<string, { example?: unknown }> } | undefined;
      if (route.request !== undefined && body?.content['application/json']) {
        body.content['application/json'].example = route.request;
      }
    }
  }
  return document;
}

/** OpenAPI 3.1 has no `nullable`, which @nestjs/swagger writes: null is a type. */
function allowNull(schema: object): void {
  for (const property of Object.values((schema as { properties?: Record<string, NullableSchema> }).properties ?? {})) {
    if (!property.nullable) continue;
    delete property.nullable;
    if (property.allOf) {
      property.oneOf = [...property.allOf, { type: 'null' }];
      delete property.allOf;
      delete property.type;
    } else property.type = [property.type, 'null'];
  }
}

interface NullableSchema {
  nullable?: boolean;
  type?: unknown;
  allOf?: object[];
  oneOf?: object[];
}

function responsesOf(
  { answers, description, response, refusals, also }: DocumentedRoute,
  always: readonly number[],
): Record<string, object> {
  const types = Object.entries(answers);
  const content = Object.fromEntries(
    types.map(([type, schema], i) => [
      type,
      { schema, ...(i === 0 && response !== undefined && { example: response }) },
    ]),
  );
  const refusal = (status?: number) => ({
    'application/json': { schema: ref('Error'), ...(status !== undefined && { example: exampleRefusal(status) }) },
  });
  return {
    200: { description, content },
    ...(also && { [also.status]: { description: also.description, content } }),
    ...Object.fromEntries(
      [...refusals, ...always.filter((status) => status !== also?.status)].map((status) => [
        status,
        { description: REFUSALS[status], content: refusal(status) },
      ]),
    ),
    default: { description: "OpenAI's error body.", content: refusal() },
  };
}

function exampleRefusal(status: number): object {
  const type = status >= 500 ? 'server_error' : status === 429 ? 'requests' : 'invalid_request_error';
  return { error: { message: REFUSALS[status], type, param: status === 400 ? 'model' : null, code: null } };
}
