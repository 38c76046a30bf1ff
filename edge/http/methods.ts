import { OPERATIONS } from './openapi/document.ts'

const routes = OPERATIONS.map(({ method, path }) => ({
  method: method.toUpperCase(),
  pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`),
}))

/** Methods that a path of the API answers to; empty where there is no such path. Every GET answers HEAD too. */
export const methodsOf = (pathname: string): string[] => {
  const methods = routes.filter(({ pattern }) => pattern.test(pathname)).map(({ method }) => method)
  return methods.includes('GET') ? ['GET', 'HEAD', ...methods.filter((method) => method !== 'GET')] : methods
}
