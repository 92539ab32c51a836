// The operator's token, and requests that show it. It is kept as long as the tab, and never part of a URL.

const KEY = "progressive-proxy operator";
const API = "../v1/";

export const hasToken = () => sessionStorage.getItem(KEY) !== null;
export const signIn = (token) => sessionStorage.setItem(KEY, token);
export const signOut = () => sessionStorage.removeItem(KEY);

/** A response of the API that is no success, or no response at all, with status 0. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The thing that a request of this browser has to show: "nothing", "token", or "off" if nothing helps. */
export async function whatItNeeds() {
  try {
    return (await (await fetch("access", { cache: "no-store" })).json()).needs;
  } catch {
    throw new Refused(0, "the proxy does not answer");
  }
}

/** Sends a request to the admin API. Throws Refused. */
export async function ask(path, { method = "GET", json, text, signal } = {}) {
  const headers = {};
  if (hasToken()) headers.Authorization = `Bearer ${sessionStorage.getItem(KEY)}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (text !== undefined) headers["Content-Type"] = "application/yaml";
  const body = json === undefined ? text : JSON.stringify(json);
  let response;
  try {
    response = await fetch(API + path, { method, headers, body, signal, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the proxy does not answer");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw new Refused(response.status, told.detail ?? response.statusText);
}
