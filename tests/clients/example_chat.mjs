// The client of the Caddyfile that tests in a browser sign in to, as it speaks to us: its addresses, its
// requests, and the exchange of its codes.
export const origin = "https://chat.example.com";
export const redirectUri = `${origin}/callback`;
// The example of RFC 7636, appendix B.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

// authorize gives the address at which a device begins to sign in. In more stand parameters to add or, if
// undefined, to leave out.
export function authorize(base, device, more = {}) {
    const url = new URL(`${base}/authorize`);
    const params = {
        response_type: "code",
        client_id: "example-chat",
        redirect_uri: redirectUri,
        scope: `urn:matrix:client:api:* urn:matrix:client:device:${device}`,
        code_challenge: challenge,
        code_challenge_method: "S256",
        ...more,
    };
    for (const [name, value] of Object.entries(params)) if (value !== undefined) url.searchParams.set(name, value);
    return url;
}

// exchange presents a code for tokens.
export function exchange(base, code) {
    return fetch(`${base}/oauth2/token`, {
        method: "POST",
        body: new URLSearchParams({
            grant_type: "authorization_code", client_id: "example-chat", redirect_uri: redirectUri, code, code_verifier: verifier,
        }),
    });
}
