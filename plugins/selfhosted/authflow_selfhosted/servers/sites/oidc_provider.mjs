// oidc-provider as a test wants it: $OPTIONS holds { url, nonces, lifetime, patience, clients } as JSON.
import { randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

const options = JSON.parse(process.env.OPTIONS);
const provider = new Provider(options.url, {
  clients: options.clients,
  cookies: { keys: [randomBytes(16).toString('hex')] },
  findAccount: (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access'],
  ttl: { AccessToken: options.lifetime, ClientCredentials: options.lifetime, DeviceCode: options.patience },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => options.nonces },
  },
});
provider.listen(Number(new URL(options.url).port), '127.0.0.1');
