/** Query of a request that takes none, and the body of one that takes none: nothing, or an empty object. */
export class NoFieldsDto {}
