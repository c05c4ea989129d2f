//! The types that cosign has a name for, and their shapes.

use super::shape::Field as F;
use super::shape::Shape::{self, Any, Bool, Is, List, Map, Object, Text, TextFrom, Time};

/// A predicate type that cosign has a short name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Slsa02,
    Slsa1,
    Spdx,
    CycloneDx,
    Link,
    Vuln,
    OpenVex,
    Custom,
}

/// cosign's short names. Its `spdx` also takes the tag-value form as text; here a predicate is an object.
const NAMES: [(&str, Known); 10] = [
    ("slsaprovenance", Known::Slsa02),
    ("slsaprovenance02", Known::Slsa02),
    ("slsaprovenance1", Known::Slsa1),
    ("spdx", Known::Spdx),
    ("spdxjson", Known::Spdx),
    ("cyclonedx", Known::CycloneDx),
    ("link", Known::Link),
    ("vuln", Known::Vuln),
    ("openvex", Known::OpenVex),
    ("custom", Known::Custom),
];

impl Known {
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, known)| *known)
    }

    pub(super) const fn uri(self) -> &'static str {
        match self {
            Self::Slsa02 => "https://slsa.dev/provenance/v0.2",
            Self::Slsa1 => "https://slsa.dev/provenance/v1",
            Self::Spdx => "https://spdx.dev/Document",
            Self::CycloneDx => "https://cyclonedx.org/bom",
            Self::Link => "https://in-toto.io/Link/v1",
            Self::Vuln => "https://cosign.sigstore.dev/attestation/vuln/v1",
            Self::OpenVex => "https://openvex.dev/ns",
            Self::Custom => "https://cosign.sigstore.dev/attestation/v1",
        }
    }

    const fn shape(self) -> &'static Shape {
        match self {
            Self::Slsa02 => SLSA_02,
            Self::Slsa1 => SLSA_1,
            Self::Spdx => SPDX,
            Self::CycloneDx => CYCLONE_DX,
            Self::Link => LINK,
            Self::Vuln => VULN,
            Self::OpenVex => OPEN_VEX,
            Self::Custom => ANY_OBJECT,
        }
    }
}

/// The short names, for people.
pub(super) fn names() -> String {
    NAMES.map(|(name, _)| format!("`{name}`")).join(", ")
}

/// The shape of the type with this URI, by whatever name it was asked for.
pub(super) fn shape(uri: &str) -> &'static Shape {
    NAMES.iter().find(|(_, known)| known.uri() == uri).map_or(ANY_OBJECT, |(_, known)| known.shape())
}

/// `cosign attest --type custom` puts a file's text and the time into `Data` and `Timestamp`. No verifier looks for
/// them, and the time would make each attestation another one; so a custom predicate is signed as it is.
const ANY_OBJECT: &Shape = &Object(&[], &[]);

const DIGESTS: &Shape = &Map(&Text);

/// <https://slsa.dev/spec/v0.2/provenance>, with the types that in-toto-golang has for it.
const SLSA_02: &Shape = &Object(
    &[
        F("builder", &Object(&[F("id", &Text)], &[&["id"]])),
        F("buildType", &Text),
        F(
            "invocation",
            &Object(
                &[F(
                    "configSource",
                    &Object(&[F("uri", &Text), F("digest", DIGESTS), F("entryPoint", &Text)], &[]),
                )],
                &[],
            ),
        ),
        F(
            "metadata",
            &Object(
                &[
                    F("buildInvocationID", &Text),
                    F("buildStartedOn", &Time),
                    F("buildFinishedOn", &Time),
                    F(
                        "completeness",
                        &Object(
                            &[F("parameters", &Bool), F("environment", &Bool), F("materials", &Bool)],
                            &[],
                        ),
                    ),
                    F("reproducible", &Bool),
                ],
                &[],
            ),
        ),
        F("materials", &List(&Object(&[F("uri", &Text), F("digest", DIGESTS)], &[]))),
    ],
    &[&["builder", "buildType"]],
);

/// <https://slsa.dev/spec/v1.0/provenance>
const SLSA_1: &Shape = &Object(
    &[
        F(
            "buildDefinition",
            &Object(
                &[
                    F("buildType", &Text),
                    F("externalParameters", ANY_OBJECT),
                    F("internalParameters", ANY_OBJECT),
                    F("resolvedDependencies", RESOURCES),
                ],
                &[&["buildType", "externalParameters"]],
            ),
        ),
        F(
            "runDetails",
            &Object(
                &[
                    F(
                        "builder",
                        &Object(
                            &[F("id", &Text), F("version", &Map(&Text)), F("builderDependencies", RESOURCES)],
                            &[&["id"]],
                        ),
                    ),
                    F(
                        "metadata",
                        &Object(
                            &[F("invocationId", &Text), F("startedOn", &Time), F("finishedOn", &Time)],
                            &[],
                        ),
                    ),
                    F("byproducts", RESOURCES),
                ],
                &[&["builder"]],
            ),
        ),
    ],
    &[&["buildDefinition", "runDetails"]],
);

const RESOURCES: &Shape = &List(&Object(
    &[
        F("name", &Text),
        F("uri", &Text),
        F("digest", DIGESTS),
        F("content", &Text),
        F("downloadLocation", &Text),
        F("mediaType", &Text),
        F("annotations", ANY_OBJECT),
    ],
    &[],
));

/// <https://spdx.github.io/spdx-spec/v2.3/document-creation-information/>, or the JSON-LD of SPDX 3.
const SPDX: &Shape = &Object(
    &[
        F("spdxVersion", &TextFrom("SPDX-")),
        F("SPDXID", &Text),
        F("name", &Text),
        F("packages", &List(ANY_OBJECT)),
        F("files", &List(ANY_OBJECT)),
        F("relationships", &List(ANY_OBJECT)),
        F("@graph", &List(ANY_OBJECT)),
    ],
    &[&["spdxVersion", "SPDXID"], &["@context", "@graph"]],
);

/// <https://cyclonedx.org/docs/1.6/json/>
const CYCLONE_DX: &Shape = &Object(
    &[
        F("bomFormat", &Is("CycloneDX")),
        F("specVersion", &Text),
        F("serialNumber", &Text),
        F("metadata", ANY_OBJECT),
        F("components", &List(ANY_OBJECT)),
        F("dependencies", &List(ANY_OBJECT)),
    ],
    &[&["bomFormat", "specVersion"]],
);

/// <https://github.com/in-toto/attestation/blob/main/spec/predicates/link.md>, with all the fields that in-toto-golang
/// demands.
const LINK: &Shape = &Object(
    &[
        F("_type", &Is("link")),
        F("name", &Text),
        F("materials", &Map(DIGESTS)),
        F("products", &Map(DIGESTS)),
        F("byproducts", ANY_OBJECT),
        F("command", &List(&Text)),
        F("environment", ANY_OBJECT),
    ],
    &[&["_type", "name", "materials", "products", "byproducts", "command", "environment"]],
);

/// <https://github.com/sigstore/cosign/blob/main/specs/COSIGN_VULN_ATTESTATION_SPEC.md>
const VULN: &Shape = &Object(
    &[
        F("invocation", &Object(&[F("uri", &Text), F("event_id", &Text), F("builder.id", &Text)], &[])),
        F(
            "scanner",
            &Object(
                &[
                    F("uri", &Text),
                    F("version", &Text),
                    F("db", &Object(&[F("uri", &Text), F("version", &Text)], &[])),
                    F("result", &Any),
                ],
                &[&["uri", "result"]],
            ),
        ),
        F("metadata", &Object(&[F("scanStartedOn", &Time), F("scanFinishedOn", &Time)], &[])),
    ],
    &[&["scanner", "metadata"]],
);

/// <https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md>
const OPEN_VEX: &Shape = &Object(
    &[
        F("@context", &TextFrom("https://openvex.dev/ns")),
        F("@id", &Text),
        F("author", &Text),
        F("timestamp", &Time),
        F("statements", &List(ANY_OBJECT)),
    ],
    &[&["@context", "@id", "author", "timestamp", "version", "statements"]],
);
