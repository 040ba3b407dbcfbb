import type { AttentionKind, HeadPlan, Policy } from '@app/kv-policy';
import { free } from './kv-memory.js';
import { adjacentSimilarity, applyPlan, type HeadEntries } from './merge-kernel.js';

/**
 * One KV head's entries while a prefix is read: room for `capacity` of them from the start. Arrays have a row an entry;
 * what lies behind `entries` is not read. Before the first entry of what graphs read lies a row of zeros, which stands for
 * the tokens of a run.
 */
export class ReadingHead {
  /** Entries held. */
  entries = 0;
  /** `[capacity, headSize]`, after RoPE */
  keys: Float32Array;
  /** `[capacity, headSize]` */
  values: Float32Array;
  /** `[capacity]` tokens each entry stands for */
  mass: Float32Array;
  /** `[capacity]` added to the entry's attention logits */
  logMass: Float32Array;
  /** `[capacity]` attention received, for each kind that was asked for */
  readonly attention: Partial<Record<AttentionKind, Float32Array>> = {};

  constructor(
    readonly capacity: number,
    private readonly headSize: number,
    attention: readonly AttentionKind[],
  ) {
    this.keys = new Float32Array((1 + capacity) * headSize).subarray(headSize);
    this.values = new Float32Array((1 + capacity) * headSize).subarray(headSize);
    this.mass = new Float32Array(capacity).fill(1);
    this.logMass = new Float32Array(1 + capacity).subarray(1);
    for (const kind of attention) this.attention[kind] = new Float32Array(capacity);
  }

  /** Makes a head of fields that came from another thread; the same object, so that nothing else refers to its arrays. */
  static revive(fields: ReadingHead): ReadingHead {
    return Object.setPrototypeOf(fields, ReadingHead.prototype);
  }

  /** Bytes of all entries there is room for, statistics included. */
  get bytes(): number {
    const statistics = Object.values(this.attention).reduce((sum, { byteLength }) => sum + byteLength, 0);
    return this.keys.byteLength + this.values.byteLength + this.mass.byteLength + this.logMass.byteLength + statistics;
  }

  /** Appends fresh tokens: their keys and values begin at `from` and every `stride` values after it. */
  append(keys: Float32Array, values: Float32Array, from: number, stride: number): void {
    const { headSize } = this;
    for (let at = from; at < keys.length; at += stride) {
      this.keys.set(keys.subarray(at, at + headSize), this.entries * headSize);
      this.values.set(values.subarray(at, at + headSize), this.entries * headSize);
      this.entries++;
    }
  }

  /** What a prefill graph reads of the entries held, in place: keys and values `[1 + entries, headSize]`, log-mass `[1 + entries]`. */
  graphRows(): Pick<ReadingHead, 'keys' | 'values' | 'logMass'> {
    const rows = (array: Float32Array, size: number) => new Float32Array(array.buffer, 0, (1 + this.entries) * size);
    return {
      keys: rows(this.keys, this.headSize),
      values: rows(this.values, this.headSize),
      logMass: rows(this.logMass, 1),
    };
  }

  /** Adds sums `[kinds.length, m]` to the first entries of each kind; columns beyond the capacity are tokens that are not kept. */
  addAttention(kinds: readonly AttentionKind[], sums: Float32Array): void {
    const columns = sums.length / kinds.length;
    const count = Math.min(columns, this.capacity);
    for (const [row, kind] of kinds.entries()) {
      const total = this.attention[kind] as Float32Array;
      for (let i = 0; i < count; i++) total[i]! += sums[row * columns + i]!;
    }
  }

  clearAttention(kind: AttentionKind): void {
    this.attention[kind]?.fill(0);
  }

  /** What the policy makes of the first `count` entries where `wanted` of them are to be kept. The head stays as it is. */
  compressed(policy: Policy, wanted: number, count = this.entries): { plan: HeadPlan; kept: HeadEntries } {
    const similarity = new Float32Array(policy.needs.similarity ? Math.max(count - 1, 0) : 0);
    if (policy.needs.similarity) adjacentSimilarity(this.keys, count, this.headSize, similarity);
    const { attention, mass } = this;
    const plan = policy.plan({ entries: count, attention, similarity, mass }, wanted);
    return { plan, kept: applyPlan(plan, this, this.headSize) };
  }

  /** Compresses all but the last `recent` entries to `wanted`, in place. Statistics follow: those of a set are added up. */
  compressOlder(policy: Policy, wanted: number, recent: number): void {
    const older = this.entries - recent;
    const { plan, kept } = this.compressed(policy, wanted, older);
    const { entries, target } = plan;
    replaceRows(this.keys, this.headSize, kept.keys, older, this.entries);
    replaceRows(this.values, this.headSize, kept.values, older, this.entries);
    replaceRows(this.mass, 1, kept.mass, older, this.entries);
    replaceRows(this.logMass, 1, kept.logMass, older, this.entries);
    for (const received of Object.values(this.attention)) {
      const sums = new Float32Array(entries);
      for (let i = 0; i < older; i++) if (target[i]! >= 0) sums[target[i]!]! += received[i]!;
      replaceRows(received, 1, sums, older, this.entries);
      received.fill(0, entries + recent);
      free([sums]);
    }
    free(Object.values(kept));
    this.entries = entries + recent;
    this.mass.fill(1, this.entries);
    this.logMass.fill(0, this.entries);
  }

  /** Whether the policy leaves a head as it was read that it gives so many entries. */
  staysWhole({ exact }: Policy, allocated: number): boolean {
    return this.entries <= allocated && exact;
  }

  /** All entries as they are. */
  whole(): Omit<HeadEntries, 'mass'> {
    return { keys: this.keys, values: this.values, logMass: this.logMass.slice(0, this.entries) };
  }

  /** Every array there is. */
  get arrays(): Float32Array[] {
    return [this.keys, this.values, this.mass, this.logMass, ...Object.values(this.attention)];
  }

  /** Frees what is held; nothing where it has gone elsewhere. */
  release(): void {
    free(this.arrays);
    this.entries = 0;
    this.keys = this.values = this.mass = this.logMass = new Float32Array(0);
    for (const kind of Object.keys(this.attention) as AttentionKind[]) delete this.attention[kind];
  }
}

/** Puts `kept` in the place of the first `older` of `count` rows; the others follow it. */
function replaceRows(rows: Float32Array, size: number, kept: Float32Array, older: number, count: number): void {
  rows.copyWithin(kept.length, older * size, count * size);
  rows.set(kept);
}
