//! From trees to types.

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::{InputError, Node, Segment};

/// Reads one node. What a type asks for decides what its error says.
pub(super) struct Reader<'a> {
    node: &'a Node,
}

impl<'a> Reader<'a> {
    pub(super) const fn of(node: &'a Node) -> Self {
        Self { node }
    }

    /// The text of a string.
    fn text(&self) -> Result<&'a str, InputError> {
        match self.node {
            Node::String(text) | Node::Text(text) => Ok(text),
            _ => Err(InputError::expected("a string")),
        }
    }

    /// Shows `text` to the visitor.
    fn visit_text<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, InputError> {
        // A visitor that makes something else of a string knows what; it is gone once it has been asked.
        if is::<V::Value>("alloc::string::String") {
            return visitor.visit_str(text);
        }
        let expected = (&visitor as &dyn Expected).to_string();
        visitor.visit_str(text).map_err(|error: InputError| error.while_expecting(|| expected))
    }

    /// An integer of the range, which is within that of the visitor's type.
    fn integer<'de, V: Visitor<'de>>(self, min: i64, max: u64, visitor: V) -> Result<V::Value, InputError> {
        // The visitor of a type without zero says so only in its text.
        let min = if min == 0 && std::any::type_name::<V::Value>().contains("NonZero") { 1 } else { min };
        let number = match self.node {
            Node::Signed(number) => Some(i128::from(*number)),
            Node::Unsigned(number) => Some(i128::from(*number)),
            Node::Text(text) => text.parse().ok(),
            _ => None,
        };
        let fitting = number.filter(|number| (i128::from(min)..=i128::from(max)).contains(number));
        match (fitting.map(u64::try_from), fitting.map(i64::try_from)) {
            (Some(Ok(number)), _) => visitor.visit_u64(number),
            (_, Some(Ok(number))) => visitor.visit_i64(number),
            _ => Err(InputError::expected(format!("an integer from {min} to {max}"))),
        }
    }
}

/// Whether `T` is the type of this name. No more than a message depends on it.
fn is<T>(name: &str) -> bool {
    std::any::type_name::<T>() == name
}

macro_rules! integers {
    ($($method:ident: $type:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
            self.integer(i64::try_from($type::MIN).unwrap_or(i64::MIN), u64::try_from($type::MAX).unwrap_or(u64::MAX), visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = InputError;

    integers! {
        deserialize_i8: i8,
        deserialize_i16: i16,
        deserialize_i32: i32,
        deserialize_i64: i64,
        deserialize_i128: i128,
        deserialize_u8: u8,
        deserialize_u16: u16,
        deserialize_u32: u32,
        deserialize_u64: u64,
        deserialize_u128: u128,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        match self.node {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Signed(number) => visitor.visit_i64(*number),
            Node::Unsigned(number) => visitor.visit_u64(*number),
            Node::Float(number) => visitor.visit_f64(*number),
            Node::String(text) | Node::Text(text) => visitor.visit_str(text),
            Node::Sequence(items) => sequence(items, visitor),
            Node::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        match self.node {
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Text(text) if text == "true" => visitor.visit_bool(true),
            Node::Text(text) if text == "false" => visitor.visit_bool(false),
            _ => Err(InputError::expected("true or false")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        match self.node {
            Node::Signed(number) => visitor.visit_i64(*number),
            Node::Unsigned(number) => visitor.visit_u64(*number),
            Node::Float(number) => visitor.visit_f64(*number),
            Node::Text(text) if text.parse::<f64>().is_ok() => {
                visitor.visit_f64(text.parse().expect("invariant: it was parsed on the line above"))
            }
            _ => Err(InputError::expected("a number")),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        Self::visit_text(self.text()?, visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        Self::visit_text(self.text()?, visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        Self::visit_text(self.text()?, visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        match self.node {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        match self.node {
            Node::Null => visitor.visit_unit(),
            _ => Err(InputError::expected("null")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, InputError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, InputError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        match self.node {
            Node::Sequence(items) => sequence(items, visitor),
            _ => Err(InputError::expected("a list")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, InputError> {
        match self.node {
            Node::Sequence(items) if items.len() == length => sequence(items, visitor),
            _ => Err(InputError::expected(format!("a list of {length}"))),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, InputError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        match self.node {
            Node::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
            _ => Err(InputError::expected("a map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, InputError> {
        match self.node {
            Node::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
            _ => Err(InputError::expected(format!("a map with the keys {}", fields.join(", ")))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, InputError> {
        match self.node {
            Node::String(text) | Node::Text(text) => visitor.visit_enum(Choice { name: text, content: None }),
            Node::Map(entries) if let [(name, content)] = entries.as_slice() => {
                visitor.visit_enum(Choice { name, content: Some(content) })
            }
            _ => Err(InputError::expected(format!("one of {}", variants.join(", ")))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, InputError> {
        visitor.visit_unit()
    }
}

/// Shows all of `items` to the visitor.
fn sequence<'de, V: Visitor<'de>>(items: &[Node], visitor: V) -> Result<V::Value, InputError> {
    let mut reader = Items { items: items.iter(), next: 0 };
    let value = visitor.visit_seq(&mut reader)?;
    if reader.items.len() > 0 {
        return Err(InputError::expected(format!("a list of {}", reader.next)));
    }
    Ok(value)
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    next: usize,
}

impl<'de> SeqAccess<'de> for &mut Items<'_> {
    type Error = InputError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, InputError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        let value = seed.deserialize(Reader::of(item));
        value.map(Some).map_err(|error| error.met(item).within(Segment::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (String, Node)>,
    value: Option<&'a (String, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = InputError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, InputError> {
        self.value = self.entries.next();
        match self.value {
            Some((key, _)) => {
                let name = seed.deserialize(StrDeserializer::<InputError>::new(key));
                name.map(Some).map_err(|error| error.at_key(key))
            }
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, InputError> {
        let Some((key, node)) = self.value.take() else {
            return Err(InputError::custom("a value was asked for before its key"));
        };
        let value = seed.deserialize(Reader::of(node));
        value.map_err(|error| error.met(node).within(Segment::Key(key.clone())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A variant by its name, with its content where it was written as `{name: content}`.
struct Choice<'a> {
    name: &'a str,
    content: Option<&'a Node>,
}

impl<'a, 'de> EnumAccess<'de> for Choice<'a> {
    type Error = InputError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), InputError> {
        let variant = seed.deserialize(StrDeserializer::<InputError>::new(self.name))?;
        Ok((variant, self))
    }
}

impl Choice<'_> {
    fn read<T>(&self, read: impl FnOnce(Reader<'_>) -> Result<T, InputError>) -> Result<T, InputError> {
        let content = self.content.unwrap_or(&Node::Null);
        read(Reader::of(content))
            .map_err(|error| error.met(content).within(Segment::Key(self.name.to_owned())))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = InputError;

    fn unit_variant(self) -> Result<(), InputError> {
        self.read(|reader| <()>::deserialize(reader))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, InputError> {
        self.read(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, InputError> {
        self.read(|reader| reader.deserialize_tuple(length, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, InputError> {
        self.read(|reader| reader.deserialize_struct("", fields, visitor))
    }
}
