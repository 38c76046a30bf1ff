/**
 * SQLSTATEs of a server that has too much to do, or is not ready yet: class 53 (memory, disk, connections), 57P03
 * cannot_connect_now and 55P03 lock_not_available, which a lock_timeout gives. PostgreSQL documentation, appendix A.
 */
export const isOverload = (code: string): boolean => /^(53|57P03$|55P03$)/.test(code)
