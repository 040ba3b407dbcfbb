import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

/** Serves the OpenAPI document at /docs/openapi.json, and for people at /docs; that page loads nothing from elsewhere. */
export function serveDocs(app: NestExpressApplication): void {
  const config = new DocumentBuilder()
    .setTitle('Longhaul')
    .setDescription('Questions about long documents, on your own machines: the OpenAI Batch API, and jobs.')
    .setVersion('1')
    .build();
  const document = withErrors(SwaggerModule.createDocument(app, config));
  SwaggerModule.setup('docs', app, document, { jsonDocumentUrl: 'docs/openapi.json' });
}

/** Every endpoint refuses in the same shape. */
function withErrors(document: OpenAPIObject): OpenAPIObject {
  const text = { type: 'string', nullable: true };
  const error = { type: 'object', properties: { message: { type: 'string' }, type: text, param: text, code: text } };
  const content = { 'application/json': { schema: { type: 'object', properties: { error } } } };
  const refusal = { description: "OpenAI's error body; `param` names the field at fault.", content };
  for (const path of Object.values(document.paths)) {
    for (const operation of [path.get, path.post, path.delete]) {
      if (operation) Object.assign(operation.responses, { default: refusal });
    }
  }
  return document;
}
