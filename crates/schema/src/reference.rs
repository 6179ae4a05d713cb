//! Finds what `$ref` points at inside one document: pointers, anchors and embedded `$id`s.
//! Nothing is ever fetched: a reference that leaves the document is refused.

use serde_json::Value;
use std::collections::HashMap;
use std::rc::Rc;

/// The resource a schema object stands in: its URI and its root.
#[derive(Clone)]
pub(crate) struct Base<'a> {
    pub(crate) uri: Rc<str>,
    pub(crate) root: &'a Value,
    /// Pointer of the resource's root in the document.
    pub(crate) pointer: Rc<str>,
}

/// A schema found by reference.
pub(crate) struct Target<'a> {
    pub(crate) value: &'a Value,
    pub(crate) pointer: String,
    pub(crate) base: Base<'a>,
}

/// Every place of a document that can be named.
pub(crate) struct References<'a> {
    resources: HashMap<Rc<str>, Base<'a>>,
    anchors: HashMap<(Rc<str>, String), (String, &'a Value)>,
    /// Places of each `$dynamicAnchor` or recursive anchor by name.
    dynamic: HashMap<String, Vec<(String, &'a Value, Base<'a>)>>,
    /// `$id`, or `id` in draft 4.
    id: &'static str,
}

/// Keywords whose content is data, not schemas.
const DATA: [&str; 4] = ["enum", "const", "default", "examples"];

impl<'a> References<'a> {
    pub(crate) fn of(document: &'a Value, id: &'static str) -> (Self, Base<'a>) {
        let uri = document.get(id).and_then(Value::as_str).unwrap_or_default();
        let base = Base { uri: Rc::from(strip(uri)), root: document, pointer: Rc::from("") };
        let (resources, anchors, dynamic) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut references = Self { resources, anchors, dynamic, id };
        references.resources.insert(Rc::clone(&base.uri), base.clone());
        references.walk(document, "", &base);
        (references, base)
    }

    fn walk(&mut self, value: &'a Value, pointer: &str, base: &Base<'a>) {
        let base = &self.enter(value, pointer, base);
        match value {
            Value::Object(members) => {
                for keyword in ["$anchor", "$dynamicAnchor"] {
                    if let Some(Value::String(name)) = members.get(keyword) {
                        let key = (Rc::clone(&base.uri), name.clone());
                        self.anchors.insert(key, (pointer.to_owned(), value));
                    }
                }
                if let Some(Value::String(name)) = members.get("$dynamicAnchor") {
                    let place = (pointer.to_owned(), value, base.clone());
                    self.dynamic.entry(name.clone()).or_default().push(place);
                }
                if let Some(name) = self.id_of(value).and_then(|id| id.strip_prefix('#')) {
                    let key = (Rc::clone(&base.uri), name.to_owned());
                    self.anchors.insert(key, (pointer.to_owned(), value));
                }
                for (key, member) in members {
                    if !DATA.contains(&key.as_str()) {
                        self.walk(member, &format!("{pointer}/{}", escape(key)), base);
                    }
                }
            }
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.walk(item, &format!("{pointer}/{i}"), base);
                }
            }
            _ => {}
        }
    }

    fn id_of(&self, value: &'a Value) -> Option<&'a str> {
        value.get(self.id).and_then(Value::as_str)
    }

    /// The base inside `value`: a new one if it has an `$id` of its own.
    pub(crate) fn enter(&mut self, value: &'a Value, pointer: &str, base: &Base<'a>) -> Base<'a> {
        let Some(id) = self.id_of(value).filter(|id| !id.starts_with('#') && !pointer.is_empty())
        else {
            return base.clone();
        };
        let uri: Rc<str> = Rc::from(strip(&join(&base.uri, id)));
        let inner = Base { uri: Rc::clone(&uri), root: value, pointer: Rc::from(pointer) };
        self.resources.entry(uri).or_insert_with(|| inner.clone());
        inner
    }

    /// What `reference` names, seen from `base`; `None` when it is not in this document.
    pub(crate) fn find(&mut self, reference: &str, base: &Base<'a>) -> Option<Target<'a>> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = if uri.is_empty() {
            base.clone()
        } else {
            let joined = join(&base.uri, uri);
            self.resources.get(strip(&joined)).or_else(|| self.resources.get(uri))?.clone()
        };
        let fragment = percent_decoded(fragment);
        if fragment.is_empty() {
            let pointer = resource.pointer.to_string();
            return Some(Target { value: resource.root, pointer, base: resource });
        }
        if !fragment.starts_with('/') {
            let key = (Rc::clone(&resource.uri), fragment);
            let (pointer, value) = self.anchors.get(&key)?.clone();
            return Some(Target { value, pointer, base: resource });
        }
        let (mut value, mut base) = (resource.root, resource.clone());
        let mut pointer = resource.pointer.to_string();
        for segment in fragment.split('/').skip(1) {
            let key = segment.replace("~1", "/").replace("~0", "~");
            value = match value {
                Value::Object(members) => members.get(&key)?,
                Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
                _ => return None,
            };
            pointer = format!("{pointer}/{segment}");
            base = self.enter(value, &pointer, &base);
        }
        Some(Target { value, pointer, base })
    }

    /// Every place that a dynamic reference to this fragment may lead to.
    pub(crate) fn dynamic(&self, reference: &str) -> Vec<Target<'a>> {
        let name = reference.rsplit('#').next().unwrap_or_default();
        let places = self.dynamic.get(name).map(Vec::as_slice).unwrap_or_default();
        let target = |(pointer, value, base): &(String, &'a Value, Base<'a>)| Target {
            value,
            pointer: pointer.clone(),
            base: base.clone(),
        };
        places.iter().map(target).collect()
    }
}

/// Without an empty fragment.
fn strip(uri: &str) -> &str {
    uri.strip_suffix('#').unwrap_or(uri)
}

/// A JSON pointer's form of a key.
pub(crate) fn escape(key: &str) -> String {
    if key.contains(['~', '/']) {
        key.replace('~', "~0").replace('/', "~1")
    } else {
        key.to_owned()
    }
}

/// Resolves a relative reference as far as schemas need it.
fn join(base: &str, reference: &str) -> String {
    let scheme_end = reference.find(':').unwrap_or(0);
    let absolute = scheme_end > 0 && !reference[..scheme_end].contains('/');
    if absolute || base.is_empty() {
        return reference.to_owned();
    }
    if reference.starts_with('/') {
        let authority = base.find("://").map_or(0, |at| at + 3);
        let path = base[authority..].find('/').map_or(base.len(), |at| authority + at);
        return format!("{}{reference}", &base[..path]);
    }
    let directory = base.rfind('/').map_or("", |at| &base[..=at]);
    format!("{directory}{reference}")
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes.get(i + 1..i + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let decoded = hex.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[i], decoded) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
