// Asks the server of the page.

/** Returns the JSON of a response, null for one without content. Throws an error with its `status`, 0 for none. */
export async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw Object.assign(new Error("the page's server does not answer"), { status: 0 });
  }
  if (response.status === 204) return null;
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.detail), { status: response.status });
  return body;
}
