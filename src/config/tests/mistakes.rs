use super::{LEAST, read};

/// How [`LEAST`] is let in.
const TOKEN: &str = "method = \"token\"\ntoken_file = \"vault-token\"";

/// What is said of [`LEAST`] with `old` replaced by `new`.
fn refused(old: &str, new: &str) -> String {
    assert!(LEAST.contains(old), "{old}");
    let error = read(&LEAST.replacen(old, new, 1), &[]).map(|_| ()).expect_err(new).to_string();
    error.strip_prefix("/etc/signet/signet.toml: ").expect("the file is named").to_owned()
}

#[test]
fn each_mistake_names_the_key_and_what_would_be_right() {
    let sha256 = "1".repeat(64);
    let mut wrong = Vec::new();
    for (old, new, sentence) in [
        (
            "[policy]",
            "[polcy]",
            r#"polcy: unknown key; did you mean "policy"? known keys: http, vault, keys, "#,
        ),
        (
            "name = \"release\"",
            "name = \"release\"\nhsah = 1",
            r#"keys[0].hsah: unknown key; did you mean "hash"? known keys: name, vault_key"#,
        ),
        (
            "name = \"release\"",
            "name = \"release\"\nhash = \"sha256\"",
            r#"keys[0].hash: must be "sha2-256", "sha2-384" or "sha2-512", got "sha256"; did you mean "sha2-256"?"#,
        ),
        ("name = \"release\"", "", "keys[0].name: missing"),
        ("[policy]\nfile = \"policy.yaml\"", "", "policy: missing"),
        (
            "method = \"token\"",
            "method = \"tokn\"",
            r#"vault.auth.method: must be "token", "approle", "kubernetes", "jwt" or "cert", got "tokn"; did you mean"#,
        ),
        (
            "name = \"release\"",
            "name = \"release\"\npurposes = [\"signatures\"]",
            r#"keys[0].purposes[0]: must be "signature", "attestation" or "blob", got "signatures"; did you mean "signature"?"#,
        ),
        (
            "name = \"release\"",
            "name = \"release\"\npurposes = []",
            "keys[0].purposes: a key without purposes signs",
        ),
        (
            "name = \"release\"",
            "name = \"release\"\nmount = \"/transit\"",
            "keys[0].mount: write a path of Vault as",
        ),
        (
            "name = \"release\"",
            "name = \"release\"\nmount = \"../sys\"",
            "keys[0].mount: write a path of Vault as",
        ),
        ("[vault]", "keys = 5\n[vault]", "this is no TOML: duplicate key"),
        (
            "[[registries]]",
            "[[keys]]\nname = \"release\"\n[[registries]]",
            "keys[1].name: the key release is here twice",
        ),
        ("https://vault.example.com:8200", "vault:8200", "vault.address: write http:// or https://, a host"),
        (
            "https://vault.example.com:8200",
            "https://u:hunter2@vault",
            "vault.address: write http:// or https://, a host",
        ),
        (
            "https://vault.example.com:8200",
            "https://vault/?a=b",
            "vault.address: write http:// or https://, a host",
        ),
        ("https://vault.example.com:8200", "nonsense", "vault.address: must be "),
        ("[vault.auth]", "mount = \"\"\n[vault.auth]", "vault.mount: write a path of Vault as"),
        ("[vault.auth]", "namespace = \"a\\nb\"\n[vault.auth]", "vault.namespace: write a path of Vault as"),
        (
            "[vault.auth]",
            "request_timeout = 10\n[vault.auth]",
            "vault.request_timeout: must be a string, got the number 10",
        ),
        (
            "[vault.auth]",
            "request_timeout = \"2d\"\n[vault.auth]",
            "vault.request_timeout: `2d` is no duration between",
        ),
        ("token_file = \"vault-token\"", "", "vault.auth: the method token needs token_file or token"),
        ("token_file = \"vault-token\"", "token_file = \"\"", "vault.auth.token_file: this is no path"),
        ("token_file", "token = \"hunter2\"\ntoken_file", "vault.auth.token: token_file is set too"),
        (
            "token_file",
            "role_id = \"hunter2\"\ntoken_file",
            "vault.auth.role_id: the method token does not use it: it belongs to approle",
        ),
        (
            "token_file",
            "wrapped = false\ntoken_file",
            "vault.auth.wrapped: the method token does not use it: it belongs to approle",
        ),
        (
            "token_file",
            "jwt_file = \"f\"\ntoken_file",
            "vault.auth.jwt_file: the method token does not use it: it belongs to kubernetes and jwt",
        ),
        (
            "method = \"token\"",
            "method = \"approle\"",
            "vault.auth.token_file: the method approle does not use it: it belongs to token",
        ),
        (TOKEN, "method = \"approle\"", "vault.auth: the method approle needs role_id_file or role_id"),
        (
            TOKEN,
            "method = \"approle\"\nrole_id = \"r\"",
            "vault.auth: the method approle needs secret_id_file or secret_id",
        ),
        (
            TOKEN,
            "method = \"approle\"\nrole_id = \"r\"\nsecret_id = \"hunter2\"\nsecret_id_file = \"f\"",
            "vault.auth.secret_id: secret_id_file is set too",
        ),
        (
            TOKEN,
            "method = \"approle\"\nrole_id = \"r\"\nsecret_id = \"hunter2\"\nwrapped = true",
            "vault.auth.wrapped: a wrapping token can be used once",
        ),
        (
            TOKEN,
            "method = \"approle\"\nrole_id = \"r\"\nsecret_id_file = \"\"",
            "vault.auth.secret_id_file: this is no path",
        ),
        (TOKEN, "method = \"kubernetes\"", "vault.auth: the method kubernetes needs role"),
        (TOKEN, "method = \"kubernetes\"\nrole = \" \"", "vault.auth.role: this is no role"),
        (
            TOKEN,
            "method = \"kubernetes\"\nrole = \"r\"\nmount = \"/k8s\"",
            "vault.auth.mount: write a path of Vault as",
        ),
        (TOKEN, "method = \"jwt\"\nrole = \"r\"", "vault.auth: the method jwt needs jwt_file"),
        (TOKEN, "method = \"cert\"\ncert_file = \"f\"", "vault.auth: the method cert needs key_file"),
        (
            "https://vault.example.com:8200\"\n[vault.auth]\nmethod = \"token\"\ntoken_file = \"vault-token\"",
            "http://vault\"\n[vault.auth]\nmethod = \"cert\"\ncert_file = \"f\"\nkey_file = \"k\"",
            "vault.auth.method: the method cert shows a certificate, which needs a vault.address with https://",
        ),
        (
            "[vault.auth]",
            "node_addresses = [\"https://a\", \"http://b\"]\n[vault.auth]",
            "vault.node_addresses[1]: vault.address begins with https://, and so must this",
        ),
        (
            "[vault.auth]",
            "node_addresses = [\"https://u:hunter2@a\"]\n[vault.auth]",
            "vault.node_addresses[0]: write http:// or https://, a host",
        ),
        ("[[keys]]", "[vault.batch]\nmax_items = 0\n[[keys]]", "vault.batch.max_items: must be at least 1"),
        (
            "[[keys]]",
            "[vault.batch]\nmax_items = -1\n[[keys]]",
            "vault.batch.max_items: must be an integer from 0 to",
        ),
        (
            "[policy]",
            "[http]\nlisten = \"0.0.0.0:80\"\n[policy]",
            "http.listen: 0.0.0.0:80 is no loopback address",
        ),
        (
            "[policy]",
            "[http]\nadmin_listen = \"[::]:80\"\n[policy]",
            "http.admin_listen: [::]:80 is no loopback address",
        ),
        (
            "[policy]",
            "[http]\nlisten = \"127.0.0.1:9090\"\n[policy]",
            "http.admin_listen: this is http.listen as well",
        ),
        ("[policy]", "[http]\nmax_connections = 0\n[policy]", "http.max_connections: must be at least 1"),
        (
            "[policy]",
            "[http.tls]\ncert_file = \"\"\nkey_file = \"k\"\n[policy]",
            "http.tls.cert_file: this is no path",
        ),
        (
            "[policy]",
            "[http.tls]\ncert_file = \"c\"\nkey = \"k\"\n[policy]",
            "http.tls.key: unknown key; known keys: cert_file, key_file, client_ca_file",
        ),
        (
            "[policy]",
            "[http]\npublic_url = \"ftp://a\"\n[policy]",
            "http.public_url: write http:// or https://",
        ),
        (
            "registry.example.com",
            "https://registry.example.com",
            "registries[0].host: write it as in image references",
        ),
        (
            "registry.example.com",
            "registry.example.com/team",
            "registries[0].host: write it as in image references",
        ),
        (
            "registry.example.com",
            "registry.example.com.",
            "registries[0].host: write it as in image references",
        ),
        (
            "[policy]",
            "[[registries]]\nhost = \"Registry.example.com:443\"\n[policy]",
            "registries[1].host: the registry registry.example.com is here twice",
        ),
        (
            "[policy]",
            "[[registries]]\nhost = \"registry.example.com:80\"\n[policy]",
            "registries[1].host: registry.example.com may be the same registry",
        ),
        (
            "registry.example.com\"",
            "registry.example.com:443\"\nplain_http = true",
            "registries[0].host: port 443 and Docker Hub's names are for TLS",
        ),
        ("registry.example.com", "registry", "registries[0].host: write it as in image references"),
        (
            "[policy]",
            "[[registries]]\nhost = \"registry.example.com\"\n[policy]",
            "registries[1].host: the registry registry.example.com is here twice",
        ),
        (
            "[[identity",
            "username = \"u\"\n[[identity",
            "registries[0].username: it needs password_file or password",
        ),
        (
            "[[identity",
            "password = \"hunter2\"\n[[identity",
            "registries[0].username: missing: a password needs it",
        ),
        (
            "[[identity",
            "username = \"u\"\npassword = \"hunter2\"\npassword_file = \"p\"\n[[identity",
            "registries[0].password: password_file is set too",
        ),
        (
            "[[identity",
            "username = \"u\"\npassword_file = \"p\"\ndocker_config_file = \"d\"\n[[identity",
            "registries[0].username: docker_config_file is set too",
        ),
        (
            "[[identity",
            "plain_http = true\nca_file = \"c\"\n[[identity",
            "registries[0].ca_file: plain_http is set too",
        ),
        (
            "[[identity",
            "token_hosts = [\"https://a.b\"]\n[[identity",
            "registries[0].token_hosts[0]: write it as in image",
        ),
        (
            "[[identity",
            "max_signatures_per_image = 0\n[[identity",
            "registries[0].max_signatures_per_image: must be at least 1",
        ),
        ("name = \"ci\"", "name = \"\"", "identity.tokens[0].name: a token's name has 1 to 128 bytes"),
        (
            "sha256 = \"11",
            "sha256 = \"zz",
            "identity.tokens[0].sha256: this is no SHA-256 in 64 hexadecimal digits",
        ),
        ("sha256 =", "expires = \"soon\"\nsha256 =", "identity.tokens[0].expires: "),
        (
            "[policy]",
            &format!("[[identity.tokens]]\nname = \"ci\"\nsha256 = \"{}\"\n[policy]", "2".repeat(64)),
            "identity.tokens[1].name: the token ci is here twice",
        ),
        (
            "[policy]",
            &format!("[[identity.tokens]]\nname = \"b\"\nsha256 = \"{sha256}\"\n[policy]"),
            "identity.tokens[1].sha256: this token has another name already",
        ),
        ("policy.yaml", "", "policy.file: this is no path"),
        ("data/log.sqlite", "", "log.path: this is no path"),
        ("[log]", "[limits]\nqueue = 0\n[log]", "limits.queue: must be at least 1"),
        (
            "[log]",
            "[telemetry]\nlog_format = \"jsn\"\n[log]",
            r#"telemetry.log_format: must be "json" or "text", got "jsn"; did you mean "json"?"#,
        ),
        (
            "[log]",
            "[log]\nbackend = \"mysql\"",
            r#"log.backend: must be "sqlite" or "postgres", got "mysql""#,
        ),
        ("path = \"data/log.sqlite\"", "", "log.path: the backend sqlite needs it"),
        ("[log]", "[log]\nurl_file = \"url\"", "log.url_file: this is for backend = \"postgres\""),
        (
            "[log]",
            "[log]\nbackend = \"postgres\"\nurl_file = \"u\"",
            "log.path: this is for backend = \"sqlite\"",
        ),
        (
            "path = \"data/log.sqlite\"",
            "backend = \"postgres\"",
            "log: the backend postgres needs url_file or url",
        ),
        (
            "path = \"data/log.sqlite\"",
            "backend = \"postgres\"\nurl_file = \"u\"\nurl = \"postgres://u:hunter2@h/d\"",
            "log.url: url_file is set too",
        ),
        ("[log]", "[log]\nconnections = 0", "log.connections: must be at least 1"),
        (
            "name = \"release\"",
            "name = \"signet-log\"",
            "keys[0]: signet-log is the key that signs the log's checkpoints",
        ),
        (
            "name = \"release\"",
            "name = \"release\"\nvault_key = \"signet-log\"\nmount = \"transit\"",
            "keys[0]: signet-log is the key that signs the log's checkpoints",
        ),
        (
            "name = \"release\"",
            "name = \"signet-log\"\nvault_key = \"other\"",
            "keys[0].name: signet-log is what the log's own key is called",
        ),
        ("[log]", "[log]\ncheckpoint_key = \"release\"", "keys[0]: release is the key that signs"),
        ("[log]", "[log]\norigin = \"my log\"", "log.origin: write the log's name as a URL without https://"),
        ("[log]", "[log]\norigin = \"a+b\"", "log.origin: write the log's name as a URL without https://"),
        ("[log]", "[log]\norigin = \"\"", "log.origin: write the log's name as a URL without https://"),
        ("[log]", "[log]\ncheckpoint_key = \"a/b\"", "log.checkpoint_key: "),
        ("[log]", "[log]\ncheckpoint_mount = \"/t\"", "log.checkpoint_mount: write a path of Vault"),
    ] {
        let error = refused(old, new);
        if !error.starts_with(sentence) {
            wrong.push(format!("{new}\n  says:              {error}\n  should begin with: {sentence}"));
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_issuer_that_could_be_anybody_is_refused() {
    let sha256 = "1".repeat(64);
    let right = "[identity]\naudience = 'signet'\n[[identity.issuers]]\nname = 'corp'\nissuer = 'https://ci.example.com'\n";
    let with = |old: &str, new: &str| {
        assert!(right.contains(old), "{old}");
        let tokens = format!("[[identity.tokens]]\nname = \"ci\"\nsha256 = \"{sha256}\"\n");
        let text = LEAST.replace(&tokens, &format!("{}{tokens}", right.replacen(old, new, 1)));
        assert_ne!(text, LEAST);
        read(&text, &[]).map(|config| config.identity).map_err(|error| error.to_string())
    };
    let config = with("'signet'", "['a', 'signet']").unwrap();
    assert!(
        config.audience.contains("a") && config.audience.contains("signet") && !config.audience.contains("b")
    );
    assert_eq!(config.issuers[0].principal_claim(), "sub");
    let more = |line: &str| with("name = 'corp'", &format!("name = 'corp'\n{line}"));
    for line in [
        "jwks_uri = 'http://127.0.0.1:8080/keys'",
        "jwks_uri = 'http://localhost/keys?x=1'",
        "jwks_file = 'keys.json'",
        "audience = 'mine'",
        "algorithms = ['PS512', 'ES384', 'EdDSA']",
        "platform = 'spiffe'",
    ] {
        more(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let no_issuer = "write what stands in the tokens' `iss`";
    for (old, new, sentence) in [
        (
            "audience = 'signet'\n",
            "",
            "identity.audience: missing: without it, tokens that were made for others",
        ),
        ("'signet'", "[]", "identity.audience: missing"),
        ("'signet'", "['signet', '']", "identity.audience: an audience has 1 to 512 bytes"),
        ("'signet'", "7", "identity.audience: must be a string or a list of strings"),
        ("'corp'", "'a:b'", "identity.issuers[0].name: an issuer's name has 1 to 128 bytes, no colon"),
        ("'corp'", "''", "identity.issuers[0].name: an issuer's name has"),
        ("'corp'", "'corp'\nname2 = 1", "identity.issuers[0].name2: unknown key"),
        ("https://ci", "http://ci", no_issuer),
        ("https://ci.example.com", "ci.example.com", no_issuer),
        ("https://ci.example.com", "https://user@ci.example.com", no_issuer),
        ("https://ci.example.com", "https://ci.example.com?x=1", no_issuer),
        ("https://ci.example.com", "https://ci.example.com#x", no_issuer),
        ("https://ci.example.com", "kubernetes/serviceaccount", no_issuer),
    ] {
        let error = with(old, new).map(drop).expect_err(new);
        assert!(error.contains(sentence), "{new}: {error}");
    }
    let name = "name = 'corp'";
    let again = |name: &str, issuer: &str| {
        format!(
            "name = 'corp'\nissuer = 'https://ci.example.com'\n[[identity.issuers]]\nname = '{name}'\nissuer = '{issuer}'\n[[identity.issuers]]\nname = 'third'"
        )
    };
    for (line, sentence) in [
        ("name = 'corp'\nalgorithms = []".to_owned(), "algorithms: without one no token is ever right"),
        ("name = 'corp'\nalgorithms = ['none']".to_owned(), "algorithms[0]: must be \"RS256\""),
        ("name = 'corp'\nalgorithms = ['HS256']".to_owned(), "algorithms[0]: must be \"RS256\""),
        ("name = 'corp'\njwks_uri = 'http://ci.example.com/keys'".to_owned(), "jwks_uri: write https://"),
        ("name = 'corp'\njwks_uri = 'file:///keys'".to_owned(), "jwks_uri: write https://"),
        (
            "name = 'corp'\njwks_uri = 'https://ci.example.com/'\njwks_file = 'k'".to_owned(),
            "jwks_uri: jwks_file is set too",
        ),
        ("name = 'corp'\nca_file = 'c'\njwks_file = 'k'".to_owned(), "ca_file: jwks_file is set too"),
        ("name = 'corp'\nclock_skew = '301s'".to_owned(), "clock_skew: it is at most 5m"),
        ("name = 'corp'\nrefresh = '999ms'".to_owned(), "refresh: it is at least 1s"),
        ("name = 'corp'\nmax_token_age = '2d'".to_owned(), "max_token_age: "),
        ("name = 'corp'\nplatform = 'gitlba'".to_owned(), "did you mean \"gitlab\"?"),
        ("name = 'corp'\nprincipal_claim = ''".to_owned(), "principal_claim: write the name of a claim"),
        (again("corp", "https://b.example.com"), "issuers[1].name: the issuer corp is here twice"),
        (again("b", "https://ci.example.com"), "issuers[1].issuer: this issuer has another name already"),
    ] {
        let error = with(name, &line).map(drop).expect_err(&line);
        assert!(error.contains(sentence), "{line}: {error}");
    }
}

#[test]
fn mistakes_of_the_auditors_pages_name_the_key_and_what_would_be_right() {
    let issuer = "[identity]\naudience = ['signet', 'signet-audit']\n[[identity.issuers]]\nname = 'corp'\nissuer = 'https://ci.example.com'\n";
    let http = "[http]\npublic_url = 'https://signet.example.com'\n";
    let audit = "[audit]\nidle_timeout = '1m'\nsession_lifetime = '1m'\n[audit.login]\nissuer = 'corp'\nclient_id = 'signet-audit'\n";
    // As in [`LEAST`], whose section of tokens has to stay behind `[identity]`.
    let with = |old: &str, new: &str| {
        let right = format!(
            "{http}{audit}{}",
            LEAST.replacen("[[identity.tokens]]", &format!("{issuer}[[identity.tokens]]"), 1)
        );
        assert!(right.contains(old), "{old}");
        read(&right.replacen(old, new, 1), &[]).map(|config| config.audit).map_err(|error| error.to_string())
    };
    let login = with("", "").unwrap().login.unwrap();
    assert_eq!((login.scopes, login.client_secret_file), (vec!["openid".to_owned()], None));
    let client = "client_id = 'signet-audit'";
    let and = |line: &str| format!("{client}\n{line}");
    for (old, new, sentence) in [
        ("idle_timeout = '1m'", "idle_timeout = '59s'", "audit.idle_timeout: it is at least 1m"),
        ("session_lifetime = '1m'", "session_lifetime = '59s'", "audit.session_lifetime: it is at least 1m"),
        (
            "idle_timeout = '1m'",
            "idle_timeout = '61s'",
            "audit.idle_timeout: it is more than audit.session_lifetime",
        ),
        ("idle_timeout = '1m'", "idle_timeout = 60", "audit.idle_timeout: must be a string"),
        ("[audit]", "[audit]\nenable = false", "audit.enable: unknown key; did you mean \"enabled\"?"),
        ("[audit]", "[audit]\nenabled = 'no'", "audit.enabled: must be true or false"),
        (
            "issuer = 'corp'",
            "issuer = 'crop'",
            "audit.login.issuer: there is no such section [[identity.issuers]]",
        ),
        ("issuer = 'corp'\n", "", "audit.login.issuer: missing"),
        (client, "", "audit.login.client_id: missing"),
        (
            client,
            "client_id = ''",
            "audit.login.client_id: write the name by which the provider knows Signet",
        ),
        (
            client,
            "client_id = 'other'",
            "audit.login.client_id: the provider's ID tokens are made for it: add it",
        ),
        (
            client,
            &and("client_secret = 'hunter2'\nclient_secret_file = 'f'"),
            "audit.login.client_secret: client_secret_file is set too",
        ),
        (client, &and("client_secret_file = ''"), "audit.login.client_secret_file: this is no path"),
        (
            client,
            &and("scopes = ['profile']"),
            "audit.login.scopes: without `openid` the provider gives no ID token",
        ),
        (client, &and("scope = 'openid'"), "audit.login.scope: unknown key; did you mean \"scopes\"?"),
        (http, "", "http.public_url: the provider sends people back there after [audit.login]"),
        (
            "name = 'corp'\n",
            "name = 'corp'\njwks_file = 'keys.json'\n",
            "audit.login.issuer: its keys are in a file",
        ),
    ] {
        let error = with(old, new).map(drop).expect_err(new);
        assert!(error.contains(sentence), "{new}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
