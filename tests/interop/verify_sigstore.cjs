// Verify a Sigstore bundle with @sigstore/verify, an implementation that shares no code with ours.
// node verify_sigstore.cjs TRUSTED_ROOT BUNDLE IDENTITY ISSUER [ARTIFACT]; exits 0 when it holds, 1 with the reason.
const fs = require('fs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { toSignedEntity, toTrustMaterial, Verifier } = require('@sigstore/verify');

const [trustedRoot, bundle, identity, issuer, artifact] = process.argv.slice(2);
try {
  const read = (path) => JSON.parse(fs.readFileSync(path, 'utf8'));
  const material = toTrustMaterial(TrustedRoot.fromJSON(read(trustedRoot)));
  const verifier = new Verifier(material, { tlogThreshold: 1, ctlogThreshold: 1, timestampThreshold: 1 });
  const entity = toSignedEntity(bundleFromJSON(read(bundle)), artifact && fs.readFileSync(artifact));
  const escaped = identity.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  verifier.verify(entity, { subjectAlternativeName: `^${escaped}$`, extensions: { issuer } });
} catch (error) {
  console.error(`${error.code}: ${error.message}`);
  process.exit(1);
}
