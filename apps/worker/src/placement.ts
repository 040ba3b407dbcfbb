/** How a group finds its place before its document is read. */
export interface Placement {
  /** Called once its document has a place in memory, or needs none. */
  readonly onPlaced?: () => void;
  /**
   * Asked where its document is not held here: a worker that holds it and to which the group is better left, with a place
   * taken there.
   * @param document key of the document (`HeldDocuments`)
   */
  readonly elsewhere?: (document: string) => Promise<string | undefined>;
}

/** The group's document does not fit into memory beside those in use: it goes back to its queue. */
export class NoRoomError extends Error {
  override readonly name = 'NoRoomError';
  /** @param room resolves the next time that there is more */
  constructor(readonly room: Promise<void>) {
    super('The document does not fit into memory now; the job goes back to its queue.');
  }
}

/** Another worker goes on with the group. */
export class LeftElsewhereError extends Error {
  override readonly name = 'LeftElsewhereError';
  constructor(readonly worker: string) {
    super('The job is left to a worker that holds its document.');
  }
}
