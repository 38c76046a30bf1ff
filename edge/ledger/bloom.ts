/** Bits a word: about one word in a hundred that is not there seems to be (B. Bloom, 1970: m/n = 10, k = 7). */
const BITS_PER_WORD = 10
const HASHES = 7

/** Two 32-bit hashes of a word (FNV-1a with two offsets), from which all bits are made (Kirsch and Mitzenmacher, 2006). */
const hashes = (word: string): [number, number] => {
  let a = 0x811c9dc5
  let b = 0x050c5d1f
  for (let index = 0; index < word.length; index++) {
    const code = word.charCodeAt(index)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x01000193)
  }
  return [a >>> 0, (b ^ (b >>> 15)) >>> 0 || 1]
}

const bitsOf = (word: string, size: number): number[] => {
  const [a, b] = hashes(word)
  return Array.from({ length: HASHES }, (_, index) => (a + index * b) % size)
}

/** A filter that says of each of these words that it may be there. */
export const filterOver = (words: ReadonlySet<string>): Uint8Array => {
  const bytes = new Uint8Array(Math.max(8, Math.ceil((words.size * BITS_PER_WORD) / 8)))
  for (const word of words) for (const bit of bitsOf(word, bytes.length * 8)) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7))
  return bytes
}

/** False: the word is surely not there. */
export const mayHold = (filter: Uint8Array, word: string): boolean =>
  bitsOf(word, filter.length * 8).every((bit) => ((filter[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0)
