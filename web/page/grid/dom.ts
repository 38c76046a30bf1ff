export const make = (name: string, className: string, role?: string): HTMLElement => {
  const element = document.createElement(name)
  element.className = className
  if (role !== undefined) element.setAttribute('role', role)
  return element
}

/** Writes only what is different: most cells of a repainted row are as they were. */
export const set = (element: HTMLElement, className: string, role: string, text: string, title: string, width: string): void => {
  if (element.className !== className) element.className = className
  if (element.getAttribute('role') !== role) element.setAttribute('role', role)
  if (element.textContent !== text) element.textContent = text
  if (element.title !== title) element.title = title
  if (element.style.width !== width) element.style.width = width
}
