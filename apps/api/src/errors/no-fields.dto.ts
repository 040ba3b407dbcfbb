/** Body of a request that takes none: no body, or an empty object. */
export class NoFieldsDto {}
