/** A compression policy by name and the share of the cache it keeps. */
export interface CompressionSetting {
  /** Not checked here: the apps know which policies exist. */
  readonly policy: string;
  /** 0 < budget <= 1; 1 keeps everything. */
  readonly budget: number;
}

/** Reads `policy:budget` (`kvmerger:0.35`) or `full` alone; undefined where the text is neither. */
export function parseCompression(text: string): CompressionSetting | undefined {
  if (text === 'full') return { policy: 'full', budget: 1 };
  const match = /^([a-z0-9]+(?:-[a-z0-9]+)*):(\d*\.?\d+)$/.exec(text);
  if (!match?.[1]) return undefined;
  const budget = Number(match[2]);
  return budget > 0 && budget <= 1 ? { policy: match[1], budget } : undefined;
}
