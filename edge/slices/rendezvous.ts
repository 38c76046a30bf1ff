/** FNV-1a, 32 bits, with a last mix, so that names that differ in their last letter lie far apart. */
const weight = (text: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/**
 * Names in the order in which they are asked about a key (rendezvous hashing, Thaler and Ravishankar 1998): the same for
 * every request, so that what one of them is at work on is not begun by another, whichever others come or go.
 */
export const inOrderFor = <Name extends string>(key: string, names: readonly Name[]): Name[] =>
  [...names]
    .map((name) => ({ name, w: weight(`${key} ${name}`) }))
    .sort((a, b) => b.w - a.w || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name)
