/** What the Iceberg REST API's `ErrorModel` carries as `type`; the status belongs to it. */
const STATUS = {
  NotAuthorizedException: 401,
  ForbiddenException: 403,
  NoSuchNamespaceException: 404,
  NoSuchTableException: 404,
  NotFoundException: 404,
  ServiceUnavailableException: 503,
  InternalServerError: 500,
} as const

export type RestErrorType = keyof typeof STATUS

/** An error in the Iceberg REST API's form (its OpenAPI document, `IcebergErrorResponse`). HEAD answers have no body. */
export const restError = (method: string, type: RestErrorType, message: string, headers: Record<string, string> = {}): Response => {
  const status = STATUS[type]
  const about = { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers }
  return new Response(method === 'HEAD' ? null : JSON.stringify({ error: { message, type, code: status } }), { status, headers: about })
}
