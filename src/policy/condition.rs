//! Conditions in CEL, the [Common Expression Language](https://github.com/google/cel-spec/blob/master/doc/langdef.md).

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, LiteralValue};
use cel::objects::Key;
use cel::{Context, Env, IdedExpr, Program, Value};

use super::asked::Asked;
use super::claims::Path;
use super::shown;

/// An expression over `claims`, `request` and `principal`, compiled.
#[derive(Clone)]
pub struct Condition {
    program: Arc<Program>,
    /// The claims that it names, as far as that can be told without asking it.
    pub claims: Vec<Path>,
    /// Whether it may look at what is asked about: its repository, its host or its digest.
    pub looks_at_subject: bool,
}

/// Characters of a condition.
const MAX_LENGTH: usize = 4096;
/// How deep `all`, `exists`, `filter` and `map` may stand within each other: each level multiplies the time by the length of
/// a list, which may be a claim's.
const MAX_LOOPS: usize = 2;

const VARIABLES: [&str; 3] = ["claims", "request", "principal"];

/// What `request` says whatever it is about.
const OF_ANY_SUBJECT: [&str; 6] = ["operation", "key", "format", "predicate_type", "annotations", "time"];

/// CEL's own functions, beside its operators. Another name would be an error whenever the rule is asked.
const FUNCTIONS: [&str; 29] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
    "min",
    "max",
    "timestamp",
    "duration",
    "getFullYear",
    "getMonth",
    "getDayOfYear",
    "getDayOfMonth",
    "getDate",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "optional.of",
    "optional.none",
];

static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

impl Condition {
    /// # Errors
    /// What is wrong, with its line and column within the expression.
    pub fn new(source: &str) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            return Err(format!("has more than {MAX_LENGTH} characters; write several rules"));
        }
        let program = LANGUAGE.compile(source).map_err(|errors| match errors.errors.first() {
            Some(error) => {
                let place = place(source, error.pos.0.unsigned_abs(), error.pos.1.unsigned_abs());
                format!("is no CEL: {}{place}", shown(&error.msg))
            }
            None => "is no CEL".to_owned(),
        })?;
        let mut reader = Reader::default();
        reader.read(program.expression(), 0);
        if let Some((id, reason)) = reader.fault {
            let offset = program.source_info().offset_for(id).map_or(0, |(start, _)| start as usize);
            let before = source.get(..offset).unwrap_or_default();
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            return Err(format!("{reason}{}", place(source, before.matches('\n').count() + 1, column)));
        }
        Ok(Self {
            program: Arc::new(program),
            claims: reader.claims.into_iter().collect(),
            looks_at_subject: reader.looks_at_subject,
        })
    }

    /// Whether it is true of what is asked.
    ///
    /// # Errors
    /// Where it can not be told: a claim that is not there, values that can not be compared, an answer that is neither true
    /// nor false.
    pub fn holds(&self, asked: &Asked<'_>) -> Result<bool, String> {
        let mut context = Context::with_env(LANGUAGE.clone());
        context.add_variable_from_value("claims", asked.claims());
        context.add_variable_from_value("request", request(asked));
        context.add_variable_from_value("principal", asked.question.principal.to_string());
        match self.program.execute(&context) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(format!("it is neither true nor false, but of type {}", other.type_of())),
            Err(error) => Err(shown(&error.to_string())),
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.program.source_info().source).finish()
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.program.source_info().source == other.program.source_info().source
    }
}

/// What is asked, as `request`. What a question does not have is left out.
fn request(asked: &Asked<'_>) -> Value {
    let question = &asked.question;
    let mut fields: HashMap<Key, Value> = HashMap::new();
    let mut add = |name: &str, value: Value| drop(fields.insert(name.into(), value));
    add("operation", question.operation.to_string().into());
    if let (Some(repository), Some(name)) = (question.repository, asked.repository()) {
        add("repository", name.into());
        add("host", repository.host().into());
    }
    if let Some(digest) = question.digest {
        add("digest", digest.to_string().into());
    }
    if let Some(key) = question.key {
        add("key", key.as_str().into());
    }
    if let Some(format) = question.format {
        add("format", format.as_str().into());
    }
    if let Some(predicate_type) = question.predicate_type {
        add("predicate_type", predicate_type.into());
    }
    let annotations: HashMap<Key, Value> = question
        .annotations
        .into_iter()
        .flat_map(|annotations| annotations.as_map())
        .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
        .collect();
    add("annotations", annotations.into());
    let nanoseconds = u32::try_from(question.now.subsec_nanosecond()).unwrap_or(0);
    if let Some(time) = chrono::DateTime::from_timestamp(question.now.as_second(), nanoseconds) {
        add("time", Value::Timestamp(time.fixed_offset()));
    }
    fields.into()
}

/// JSON as a value of CEL.
pub fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (_, Some(number)) => Value::UInt(number),
            _ => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => items.iter().map(value).collect::<Vec<_>>().into(),
        serde_json::Value::Object(object) => values(object),
    }
}

/// A map of JSON as a value of CEL.
pub fn values(object: &serde_json::Map<String, serde_json::Value>) -> Value {
    object.iter().map(|(name, json)| (name.as_str(), value(json))).collect::<HashMap<_, _>>().into()
}

/// Where it is, of an expression of one line or several.
fn place(source: &str, line: usize, column: usize) -> String {
    match source.trim_end().contains('\n') {
        true => format!(", at line {line}, column {column} of the condition"),
        false => format!(", at column {column} of the condition"),
    }
}

/// Looks through an expression for the names that it uses.
#[derive(Default)]
struct Reader {
    claims: BTreeSet<Path>,
    looks_at_subject: bool,
    /// Names that loops give to elements.
    local: Vec<String>,
    fault: Option<(u64, String)>,
}

impl Reader {
    fn read(&mut self, node: &IdedExpr, loops: usize) {
        if self.fault.is_some() {
            return;
        }
        if let Some(path) = claim(node) {
            self.claims.insert(path);
            return;
        }
        if let Some((operand, name)) = member(node)
            && is_request(operand)
        {
            self.looks_at_subject |= !OF_ANY_SUBJECT.contains(&name.as_str());
            return;
        }
        // Whole, or by a name that only the asking tells.
        self.looks_at_subject |= is_request(node);
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                if !VARIABLES.contains(&name.as_str()) && !self.local.contains(name) {
                    let known = "`claims`, `request` and `principal`";
                    self.fail(node, format!("names `{}`; a condition knows {known}", shown(name)));
                }
            }
            Expr::Select(select) => self.read(&select.operand, loops),
            Expr::Call(call) => {
                let word = call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
                if word && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    self.fail(
                        node,
                        format!("calls `{}`, which is no function of CEL", shown(&call.func_name)),
                    );
                }
                if let Some(target) = &call.target {
                    self.read(target, loops);
                }
                call.args.iter().for_each(|argument| self.read(argument, loops));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.read(element, loops)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.read(&entry.key, loops);
                        self.read(&entry.value, loops);
                    }
                }
            }
            Expr::Struct(_) => self.fail(node, "makes a message; a condition has none".to_owned()),
            Expr::Comprehension(comprehension) => {
                if loops == MAX_LOOPS {
                    self.fail(node, format!("has more than {MAX_LOOPS} loops within each other"));
                    return;
                }
                self.read(&comprehension.iter_range, loops);
                let before = self.local.len();
                self.local.extend([comprehension.iter_var.clone(), comprehension.accu_var.clone()]);
                self.local.extend(comprehension.iter_var2.clone());
                for inner in [
                    &comprehension.accu_init,
                    &comprehension.loop_cond,
                    &comprehension.loop_step,
                    &comprehension.result,
                ] {
                    self.read(inner, loops + 1);
                }
                self.local.truncate(before);
            }
        }
    }

    fn fail(&mut self, node: &IdedExpr, reason: String) {
        self.fault.get_or_insert((node.id, reason));
    }
}

/// `claims.a.b` and `claims["a"].b` as the way to a claim.
fn claim(node: &IdedExpr) -> Option<Path> {
    let (operand, name) = member(node)?;
    let mut path = match &operand.expr {
        Expr::Ident(root) if root == "claims" => Vec::new(),
        _ => claim(operand)?,
    };
    path.push(name);
    Some(path)
}

/// `a.b` and `a["b"]` as `a` and the name `b`.
fn member(node: &IdedExpr) -> Option<(&IdedExpr, String)> {
    match &node.expr {
        Expr::Select(select) => Some((&select.operand, select.field.clone())),
        Expr::Call(call) if call.func_name == "_[_]" => match call.args.as_slice() {
            [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] => {
                Some((operand, name.inner().to_owned()))
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_request(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name == "request")
}
