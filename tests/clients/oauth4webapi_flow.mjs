// oauth4webapi over every endpoint: it throws on every slip from the OAuth standards.
import * as oauth from "oauth4webapi";
import { answer, closeBrowser, unasked } from "./people.mjs";
import { check, done, equal, ok, refused } from "./checks.mjs";

const [base, password] = process.argv.slice(2);
const alice = { name: "alice", password };
const issuer = new URL(`${base}/`);
const insecure = { [oauth.allowInsecureRequests]: true };
const origin = "https://client.example.com";
const redirectUri = `${origin}/callback?kept=1`;
const api = "urn:matrix:client:api:*";
let devices = 0;
const freshScope = () => `${api} urn:matrix:client:device:WEBAPI${String(devices++).padStart(6, "0")}`;

const as = await check("discovery by RFC 8414 and by OpenID Connect gives one document, and so do the Matrix paths", async () => {
    const documents = [];
    for (const algorithm of ["oauth2", "oidc"]) {
        const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure });
        documents.push(await oauth.processDiscoveryResponse(issuer, response));
    }
    for (const path of ["v1/auth_metadata", "unstable/org.matrix.msc2965/auth_metadata"]) {
        const response = await fetch(`${base}/_matrix/client/${path}`);
        equal(response.headers.get("access-control-allow-origin"), "*", `CORS of ${path}`);
        documents.push(await response.json());
    }
    for (const document of documents) equal(document, documents[0], "a document");
    const old = await (await fetch(`${base}/_matrix/client/unstable/org.matrix.msc2965/auth_issuer`)).json();
    equal(old.issuer, issuer.href, "the issuer");
    return documents[0];
});

const metadata = {
    client_name: "oauth4webapi",
    client_uri: `${origin}/`,
    redirect_uris: [redirectUri],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
    application_type: "web",
};

async function register(more) {
    const response = await oauth.dynamicClientRegistrationRequest(as, { ...metadata, ...more }, insecure);
    return oauth.processDynamicClientRegistrationResponse(response);
}

async function request(client, more = {}) {
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const url = new URL(as.authorization_endpoint);
    const params = {
        response_type: "code",
        client_id: client.client_id,
        redirect_uri: redirectUri,
        scope: freshScope(),
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
        ...more,
    };
    for (const [name, value] of Object.entries(params)) if (value !== undefined) url.searchParams.set(name, value);
    return { url, verifier, state, scope: params.scope };
}

async function exchange(client, auth, params, verifier) {
    const response = await oauth.authorizationCodeGrantRequest(as, client, auth, params, redirectUri, verifier, insecure);
    equal(response.headers.get("cache-control"), "no-store", "Cache-Control");
    return oauth.processAuthorizationCodeResponse(as, client, response);
}

async function flow(client, auth, more) {
    const { url, verifier, state, scope } = await request(client, more);
    const came = await answer(url, alice, origin);
    const params = oauth.validateAuthResponse(as, client, came.params, state);
    const tokens = await exchange(client, auth, params, verifier);
    equal(tokens.scope, scope, "the scope");
    ok(tokens.access_token.startsWith("mat_") && tokens.refresh_token.startsWith("mar_"), "the tokens have other prefixes");
    return { tokens, params, verifier, came };
}

const whoami = async (token) => (await fetch(`${base}/_matrix/client/v3/account/whoami`, { headers: { authorization: `Bearer ${token}` } })).status;

async function refresh(client, auth, token, parameters) {
    const response = await oauth.refreshTokenGrantRequest(as, client, auth, token, { ...insecure, additionalParameters: parameters });
    return oauth.processRefreshTokenResponse(as, client, response);
}

async function revoke(client, auth, token, hint) {
    const additionalParameters = hint ? { token_type_hint: hint } : {};
    const response = await oauth.revocationRequest(as, client, auth, token, { ...insecure, additionalParameters });
    await oauth.processRevocationResponse(response);
}

async function introspect(client, auth, token) {
    const response = await oauth.introspectionRequest(as, client, auth, token, insecure);
    return oauth.processIntrospectionResponse(as, client, response);
}

const open = await check("a client registers, and the answer holds what was registered", async () => {
    const client = await register({ unknown_member: "x", id_token_signed_response_alg: "RS256" });
    for (const name of ["client_name", "client_uri", "redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method", "application_type"]) {
        equal(client[name], metadata[name], name);
    }
    equal(client.unknown_member, undefined, "what is not known");
    equal(client.client_secret, undefined, "the secret of a public client");
    return client;
});
const none = oauth.None();

for (const mode of [undefined, "query", "fragment", "form_post"]) {
    await check(`a public client signs in by response mode ${mode ?? "of the default"}`, async () => {
        const { tokens, came } = await flow(open, none, { response_mode: mode });
        equal(came.method, mode === "form_post" ? "POST" : "GET", "the method");
        equal(came.url.searchParams.get("kept"), "1", "the registered query");
        equal(came.url.hash !== "", mode === "fragment", "the fragment");
        equal(await whoami(tokens.access_token), 200, "whoami");
    });
}

await check("a refresh rotates both tokens, keeps the scope, and the old access token goes on", async () => {
    const { tokens } = await flow(open, none);
    const next = await refresh(open, none, tokens.refresh_token);
    ok(next.access_token !== tokens.access_token && next.refresh_token !== tokens.refresh_token, "nothing was rotated");
    equal(next.scope, tokens.scope, "the scope");
    equal([await whoami(tokens.access_token), await whoami(next.access_token)], [200, 200], "whoami");
    const wide = await refused(refresh(open, none, next.refresh_token, { scope: `${tokens.scope} urn:synapse:admin:*` }), "a wider scope");
    equal(wide.error, "invalid_scope", "the error");
});

await check("a refresh takes the other spelling of scopes that were granted, and Synapse its token", async () => { // SCOPE-3, SCOPE-14
    const older = (scope) => scope.replaceAll("urn:matrix:client:", "urn:matrix:org.matrix.msc2967.client:");
    const newer = (scope) => scope.replaceAll("urn:matrix:org.matrix.msc2967.client:", "urn:matrix:client:");
    for (const asked of [older, newer]) {
        const { scope } = await request(open);
        const { tokens } = await flow(open, none, { scope: asked(scope) });
        for (const other of [older, newer]) {
            const next = await refresh(open, none, tokens.refresh_token, { scope: other(scope) });
            equal([next.scope, await whoami(next.access_token)], [other(scope), 200], "the scope, and what Synapse says");
        }
    }
});

for (const kind of ["access_token", "refresh_token"]) {
    await check(`a revocation of the ${kind} alone ends both, and a second one is answered alike`, async () => {
        const { tokens } = await flow(open, none);
        await revoke(open, none, tokens[kind], kind === "access_token" ? "refresh_token" : undefined);
        equal(await whoami(tokens.access_token), 401, "whoami");
        const late = await refused(refresh(open, none, tokens.refresh_token), "a refresh");
        equal([late.error, late.status], ["invalid_grant", 400], "the error");
        await revoke(open, none, tokens.access_token);
        await revoke(open, none, tokens.refresh_token);
    });
}

// A code that comes again much later ends the session; within seconds it is a slow client.
await check("a code is good once, and a client that sends it twice keeps its session", async () => {
    const { tokens, params, verifier } = await flow(open, none);
    const again = await refused(exchange(open, none, params, verifier), "a second exchange");
    equal([again.error, again.status], ["invalid_grant", 400], "the error");
    equal(await whoami(tokens.access_token), 200, "whoami");
});

await check("a wrong verifier is refused", async () => {
    const { url, state } = await request(open);
    const came = await answer(url, alice, origin);
    const params = oauth.validateAuthResponse(as, open, came.params, state);
    const wrong = await refused(exchange(open, none, params, oauth.generateRandomCodeVerifier()), "another verifier");
    equal(wrong.error, "invalid_grant", "the error");
});

await check("a person who declines sends access_denied, the state and the issuer", async () => {
    const { url, state } = await request(open, { response_mode: "fragment", prompt: "consent" });
    const came = await answer(url, alice, origin, "Cancel");
    try {
        oauth.validateAuthResponse(as, open, came.params, state);
    } catch (error) {
        ok(error instanceof oauth.AuthorizationResponseError, `it is a ${error}`);
        equal(error.error, "access_denied", "the error");
        return;
    }
    throw new Error("it was not declined");
});

const wrongRequests = {
    "without PKCE": [{ code_challenge: undefined, code_challenge_method: undefined }, "invalid_request"],
    "with PKCE's plain method": [{ code_challenge_method: "plain" }, "invalid_request"],
    "for a token": [{ response_type: "token" }, "unsupported_response_type"],
    "with two devices": [{ scope: `${api} urn:matrix:client:device:AAAAAAAAAA urn:matrix:client:device:BBBBBBBBBB` }, "invalid_scope"],
};
for (const [what, [more, error]] of Object.entries(wrongRequests)) {
    await check(`a request ${what} ends in ${error}, and a registered client does not get it unasked`, async () => {
        const { url, state } = await request(open, more);
        const came = await unasked(url, origin);
        equal(came.atOnce, false, "the browser went on by itself");
        ok(came.params !== undefined, `there is no way back: ${came.shown.text}`);
        equal([came.params.get("error"), came.params.get("state"), came.params.get("iss")], [error, state, issuer.href], "the answer");
    });
}

await check("prompt=none of somebody who is not signed in gives login_required at once", async () => {
    const { url, state } = await request(open, { prompt: "none" });
    const came = await unasked(url, origin);
    equal([came.atOnce, came.params?.get("error"), came.params?.get("state")], [true, "login_required", state], "the answer");
});

await check("an unknown client and an unregistered redirect URI stay on our page without a way to them", async () => {
    for (const more of [{ client_id: "nobody" }, { redirect_uri: `${origin}/callback` }, { redirect_uri: `${origin}/callback?kept=1&more` }]) {
        const { url } = await request(open, more);
        const came = await unasked(url, origin);
        equal([came.atOnce, came.params], [false, undefined], `the answer to ${JSON.stringify(more)}`);
        equal(came.shown.status, 400, "the status");
    }
});

await check("registrations that break the rules are refused by name", async () => {
    const cases = {
        "without a client_uri": [{ client_uri: undefined }, "invalid_client_metadata", /client_uri/],
        "with a redirect to somebody else": [{ redirect_uris: ["https://evil.example.net/"] }, "invalid_redirect_uri", /evil\.example\.net|redirect_uri/],
        "with a script for a redirect": [{ redirect_uris: ["javascript:alert(1)"] }, "invalid_redirect_uri", /redirect_uri|javascript/],
        "with an unknown application_type": [{ application_type: "toaster" }, "invalid_client_metadata", /application_type/],
    };
    for (const [what, [more, code, names]] of Object.entries(cases)) {
        const error = await refused(register(more), `a registration ${what}`);
        equal([error.error, error.status], [code, 400], `the error of a registration ${what}`);
        ok(names.test(error.error_description), `the description of a registration ${what} is ${error.error_description}`);
    }
});

const makers = { client_secret_basic: oauth.ClientSecretBasic, client_secret_post: oauth.ClientSecretPost };
for (const [method, make] of Object.entries(makers)) {
    // Static clients of the Caddyfile, with a secret that has to be escaped in a header.
    const client = { client_id: `static-${method}`, token_endpoint_auth_method: method };
    const auth = make("s3cret:/+&= % of a service");
    await check(`a confidential client with ${method} signs in, refreshes, introspects and revokes`, async () => {
        const { tokens } = await flow(client, auth);
        const next = await refresh(client, auth, tokens.refresh_token);
        const told = await introspect(client, auth, next.access_token);
        equal([told.active, told.client_id, told.scope], [true, client.client_id, next.scope], "the introspection");
        ok(Number.isInteger(told.exp), `exp is ${told.exp}`);
        equal((await introspect(client, auth, "mat_nothing")).active, false, "an unknown token");
        const wrong = await refused(refresh(client, make("wrong"), next.refresh_token), "a wrong secret");
        equal(wrong.status, 401, "the status of a wrong secret");
        const other = await refused(refresh(client, none, next.refresh_token), "no secret");
        ok([400, 401].includes(other.status), `the status without a secret is ${other.status}`);
        const stranger = await refused(revoke(client, make("wrong"), next.refresh_token), "a revocation with a wrong secret");
        equal(stranger.status, 401, "the status of a revocation with a wrong secret");
        equal(await whoami(next.access_token), 200, "whoami after strangers tried");
        await revoke(client, auth, next.refresh_token, "refresh_token");
        equal((await introspect(client, auth, next.access_token)).active, false, "the revoked token");
    });
}

await check("a client that registers for a secret gets one, and signs in with it", async () => {
    const client = await register({ token_endpoint_auth_method: "client_secret_basic" });
    equal(client.client_secret_expires_at, 0, "client_secret_expires_at");
    const { tokens } = await flow(client, oauth.ClientSecretBasic(client.client_secret));
    equal(await whoami(tokens.access_token), 200, "whoami");
});

await check("a token of one client is worth nothing to another", async () => {
    const { tokens } = await flow(open, none);
    const other = await register({ client_name: "another" });
    const error = await refused(refresh(other, none, tokens.refresh_token), "another client's refresh");
    equal(error.error, "invalid_grant", "the error");
    await refresh(open, none, tokens.refresh_token);
});

await check("the token endpoint says what is wrong in the words of OAuth", async () => {
    const post = async (params) => {
        const response = await fetch(as.token_endpoint, { method: "POST", body: new URLSearchParams(params) });
        const body = await response.json();
        equal(body.errcode, undefined, "a Matrix error code");
        return [response.status, body.error];
    };
    equal(await post({ grant_type: "password", client_id: open.client_id }), [400, "unsupported_grant_type"], "another grant");
    equal(await post({ client_id: open.client_id }), [400, "invalid_request"], "no grant");
    equal(await post({ grant_type: "refresh_token", client_id: open.client_id }), [400, "invalid_request"], "no token");
    equal(await post({ grant_type: "refresh_token", client_id: open.client_id, refresh_token: "mar_x" }), [400, "invalid_grant"], "an unknown token");
    const stranger = await post({ grant_type: "refresh_token", client_id: "nobody", refresh_token: "mar_x" });
    equal(stranger[1], "invalid_client", "an unknown client");
    const got = await fetch(as.token_endpoint);
    equal([got.status, got.headers.get("allow") !== null], [405, true], "GET");
});

await closeBrowser();
done();
