//! Every setting that the configuration has, read from its types.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Fields, GenericArgument, Item, ItemStruct, PathArguments, Type};

use crate::repository::{files_below, read};

/// The settings of `src/config`, as `section.key`; below a list of sections as `section[].key`.
pub fn settings() -> BTreeSet<String> {
    let files = files_below("src/config");
    let settings = settings_of(files.iter().map(|path| read(path)));
    assert!(settings.len() > 20, "src/config is built in a way that this reader does not understand");
    settings
}

/// The settings that a variable of the environment can set: those outside lists. `http.listen` is `SIGNET__HTTP__LISTEN`.
pub fn variables() -> BTreeSet<String> {
    let scalars = settings().into_iter().filter(|setting| !setting.contains("[]"));
    scalars.map(|setting| format!("SIGNET__{}", setting.replace('.', "__").to_uppercase())).collect()
}

fn settings_of(sources: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut structs = BTreeMap::new();
    for source in sources {
        let file = syn::parse_file(&source).expect("cargo has compiled it");
        structs.extend(file.items.into_iter().filter_map(|item| match item {
            Item::Struct(item) => Some((item.ident.to_string(), item)),
            _ => None,
        }));
    }
    let mut settings = BTreeSet::new();
    collect(&structs, "Config", "", &mut settings);
    settings
}

fn collect(
    structs: &BTreeMap<String, ItemStruct>,
    name: &str,
    prefix: &str,
    settings: &mut BTreeSet<String>,
) {
    let Fields::Named(fields) = &structs[name].fields else { return };
    for field in &fields.named {
        let key = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let (kind, many) = kind(&field.ty);
        let sections = structs.get(&kind).is_some_and(|item| matches!(item.fields, Fields::Named(_)));
        match (sections, many) {
            (true, true) => collect(structs, &kind, &format!("{prefix}{key}[]."), settings),
            (true, false) => collect(structs, &kind, &format!("{prefix}{key}."), settings),
            (false, _) => drop(settings.insert(format!("{prefix}{key}"))),
        }
    }
}

/// The name of the type inside `Option` and `Vec`, and whether there was a `Vec`.
fn kind(ty: &Type) -> (String, bool) {
    let Type::Path(path) = ty else { return (String::new(), false) };
    let Some(last) = path.path.segments.last() else { return (String::new(), false) };
    let name = last.ident.to_string();
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if ["Option", "Vec"].contains(&name.as_str()) => {
            let Some(GenericArgument::Type(inner)) = arguments.args.first() else { return (name, false) };
            let (inner, many) = kind(inner);
            (inner, many || name == "Vec")
        }
        _ => (name, false),
    }
}

#[test]
fn sections_lists_and_optional_keys_are_read_from_the_types() {
    let source = "
        pub struct Config { pub http: HttpConfig, pub keys: Vec<KeyConfig>, pub log: Option<LogConfig> }
        pub struct HttpConfig { pub listen: std::net::SocketAddr }
        pub struct KeyConfig { pub name: Name, pub mounts: Vec<String> }
        pub struct LogConfig { pub path: Option<PathBuf>, pub tiles: Tiles }
        pub struct Tiles { pub size: u64 }
        pub struct Name(String);";
    let settings: Vec<_> = settings_of(std::iter::once(source.to_owned())).into_iter().collect();
    assert_eq!(settings, ["http.listen", "keys[].mounts", "keys[].name", "log.path", "log.tiles.size"]);
}
