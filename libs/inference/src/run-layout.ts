import { type DecodePhase, DOCUMENT_SLOTS, IO, type LlamaShape } from '@app/onnx-graph';
import type { Tensor } from 'onnxruntime-node';
import { type HeldPrefix, headFeeds, headRoom } from './held-prefix.js';
import { integers } from './tensors.js';

/** Most documents whose items can go on in one run. */
export const MAX_DOCUMENTS = DOCUMENT_SLOTS['decode-documents'];

/**
 * Where everything lies in a run of a decode graph: documents in slots, rows by item and by head. Stays good for as long as
 * the same items go on, so that a step makes nothing of it anew.
 */
export class RunLayout {
  readonly phase: DecodePhase;
  /** Inputs of the graph: those that depend on nothing else, and what each run adds, in the same record, since copying one of hundreds takes half a millisecond. */
  readonly feeds: Record<string, Tensor>;

  /**
   * @param prefixes each item's document, at most MAX_DOCUMENTS different ones
   * @param rowsPerItem tokens of every item in this run
   */
  constructor(
    shape: LlamaShape,
    readonly prefixes: readonly HeldPrefix[],
    rowsPerItem: number,
  ) {
    const documents = [...new Set(prefixes)];
    this.phase = documents.length > DOCUMENT_SLOTS.decode ? 'decode-documents' : 'decode';
    const slots = DOCUMENT_SLOTS[this.phase];
    const feeds: Record<string, Tensor> = {};
    for (const [slot, { feeds: held }] of documents.entries()) {
      for (const name of Object.keys(held)) feeds[IO.inSlot(name, slot)] = held[name] as Tensor;
    }
    for (let slot = documents.length; slot < slots; slot++) leaveEmpty(shape, slot, feeds);
    const slotOf = prefixes.map((prefix) => documents.indexOf(prefix));
    const { headRows, toHeads, toItems } = rowOrders(shape, slotOf, slots, rowsPerItem);
    feeds[IO.rowsPerItem] = integers([rowsPerItem], [1]);
    feeds[IO.headRows] = integers(headRows, [headRows.length]);
    feeds[IO.toHeads] = integers(toHeads, [toHeads.length]);
    feeds[IO.toItems] = integers(toItems, [toItems.length]);
    this.feeds = feeds;
  }
}

/** Gives a slot a document of no entries, of the type that the first slot has. */
function leaveEmpty({ layers, kvHeads, headSize }: LlamaShape, slot: number, feeds: Record<string, Tensor>): void {
  const kvType = feeds[IO.heldKey(0, 0)]?.type === 'float16' ? 'f16' : 'f32';
  const empty = headRoom(0, headSize, kvType);
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < kvHeads; head++) {
      for (const [name, tensor] of Object.entries(headFeeds(layer, head, headSize, empty))) {
        feeds[IO.inSlot(name, slot)] = tensor;
      }
    }
  }
}

/**
 * The two orders of a run's query rows: by item (item, KV head, query head of the group, token) and by head (KV head, slot,
 * then as before).
 * @param slotOf the slot of each item's document
 */
export function rowOrders(
  { kvHeads, queryHeads }: Pick<LlamaShape, 'kvHeads' | 'queryHeads'>,
  slotOf: readonly number[],
  slots: number,
  rowsPerItem: number,
): { headRows: number[]; toHeads: number[]; toItems: number[] } {
  /** Rows of one item and KV head. */
  const block = (queryHeads / kvHeads) * rowsPerItem;
  const headRows: number[] = [];
  const toHeads: number[] = [];
  for (let head = 0; head < kvHeads; head++) {
    for (let slot = 0; slot < slots; slot++) {
      const before = toHeads.length;
      for (const [item, itemSlot] of slotOf.entries()) {
        if (itemSlot !== slot) continue;
        for (let row = 0; row < block; row++) toHeads.push((item * kvHeads + head) * block + row);
      }
      headRows.push(toHeads.length - before);
    }
  }
  const toItems = new Array<number>(toHeads.length);
  for (const [place, row] of toHeads.entries()) toItems[row] = place;
  return { headRows, toHeads, toItems };
}
