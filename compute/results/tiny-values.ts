import type { ColumnType, WireValue } from '../../edge/contract/columns.ts'

/**
 * A value as it lies in the file: number for int, float, double and date (days since 1970); bigint for long, decimal
 * (unscaled), time, timestamp and timestamptz (microseconds); string; bytes for binary and uuid (16).
 */
export type TinyValue = boolean | number | bigint | string | Uint8Array | null

const DAY_MICROSECONDS = 86_400_000_000n
const pad = (value: number, digits: number): string => String(value).padStart(digits, '0')

/** Civil date of a day number: Howard Hinnant's `civil_from_days`, which is right for every year. */
const dateText = (days: number): string => {
  const z = days + 719_468
  const era = Math.floor(z / 146_097)
  const doe = z - era * 146_097
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36_524) - Math.floor(doe / 146_096)) / 365)
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100))
  const mp = Math.floor((5 * doy + 2) / 153)
  const month = mp < 10 ? mp + 3 : mp - 9
  const year = yoe + era * 400 + (month <= 2 ? 1 : 0)
  const yearText = year >= 1 && year <= 9999 ? pad(year, 4) : `${year < 0 ? '-' : '+'}${pad(Math.abs(year), 6)}`
  return `${yearText}-${pad(month, 2)}-${pad(doy - Math.floor((153 * mp + 2) / 5) + 1, 2)}`
}

/** Time of day with its six digits of microseconds; 24:00:00 is a time to PostgreSQL. */
const timeText = (microseconds: number): string => {
  const seconds = Math.floor(microseconds / 1_000_000)
  return `${pad(Math.floor(seconds / 3600), 2)}:${pad(Math.floor(seconds / 60) % 60, 2)}:${pad(seconds % 60, 2)}.${pad(microseconds % 1_000_000, 6)}`
}

const timestampText = (microseconds: bigint): string => {
  const inDay = ((microseconds % DAY_MICROSECONDS) + DAY_MICROSECONDS) % DAY_MICROSECONDS
  return `${dateText(Number((microseconds - inDay) / DAY_MICROSECONDS))}T${timeText(Number(inDay))}`
}

const decimalText = (unscaled: bigint, scale: number): string => {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  const sign = unscaled < 0n ? '-' : ''
  return scale === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

const uuidText = (bytes: Uint8Array): string => bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')

const scaleOf = (type: ColumnType): number => Number((typeof type === 'string' ? /,\s*(\d+)\)$/.exec(type) : null)?.[1] ?? 0)

/** The wire value (contract, `WireValue`) of a value as it lies in the file. */
export const tinyWire = (type: ColumnType, value: TinyValue): WireValue => {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'number') {
    if (type === 'date') return dateText(value)
    if (type === 'float' || type === 'double') return Number.isFinite(value) ? value : String(value)
    return value
  }
  if (typeof value === 'bigint') {
    if (type === 'time') return timeText(Number(value))
    if (type === 'timestamp') return timestampText(value)
    if (type === 'timestamptz') return `${timestampText(value)}Z`
    return decimalText(value, scaleOf(type))
  }
  if (typeof value === 'string') return value
  return type === 'uuid' ? uuidText(value) : value.toBase64()
}
