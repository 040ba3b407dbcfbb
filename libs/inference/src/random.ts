/** Numbers in [0, 1), the same sequence for the same seed (sfc32, PractRand's small fast counter; public domain). */
export function seededRandom(seed: number): () => number {
  let [a, b, c, counter] = [seed | 0, Math.floor(seed / 2 ** 32) | 0, 0x9e3779b9 | 0, 1];
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  // The first values still show how close two seeds are.
  for (let i = 0; i < 12; i++) next();
  return next;
}
