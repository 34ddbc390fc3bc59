// Addresses as they may be shown: without what lets somebody in.

/** Returns the text with the user, password and query of its URLs masked. A password may hold any of `/`, `?` and `@`. */
export function maskUrlSecrets(text: string): string {
  return text.replace(/\/\/[^\s"]*@/g, '//***@').replace(/(:\/\/[^?\s"]*)\?[^\s"]+/g, '$1?***');
}
