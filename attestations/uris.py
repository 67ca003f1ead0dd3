"""The URIs that name our predicate types and build types. Predicate types are forever: they start with one constant."""

BASE = "https://modelsign.dev"

STATEMENT_V1 = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUNDLE_V0_3 = "application/vnd.dev.sigstore.bundle.v0.3+json"

OMS_SIGNATURE_V1 = "https://model_signing/signature/v1.0"
OMS_DIGESTS_V0_1 = "https://model_signing/Digests/v0.1"
MODEL_SCAN_V0_1 = f"{BASE}/attestation/model-scan/v0.1"
SLSA_PROVENANCE_V1 = "https://slsa.dev/provenance/v1"
CONVERT_BUILD_TYPE_V1 = f"{BASE}/buildtypes/convert-to-safetensors/v1"
TEST_RESULT_V0_1 = "https://in-toto.io/attestation/test-result/v0.1"
VERIFICATION_SUMMARY_V1 = "https://slsa.dev/verification_summary/v1"
LOCAL_BUILDER_V1 = f"{BASE}/builders/local-cli/v1"
"""`runDetails.builder.id` of a conversion at somebody's desk: SLSA build level 0 or 1 at most"""
