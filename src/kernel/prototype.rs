//! C types and prototypes, as the data files write them.
//!
//! A small parser for declarations: `struct task_struct *bpf_task_acquire(struct task_struct *p)`. It knows structure,
//! union, enumeration and typedef names, integers, `const`, pointers with type tags (`__rcu` before a `*`), arrays,
//! function pointers and `...`; it resolves nothing: a typedef stays a name. Start at [`Prototype::parse`].

use std::fmt;

use serde::Deserialize;

use super::lexer::{Lexer, Token};

/// Pointers, arrays and parentheses inside each other; more is refused.
const DEPTH: usize = 32;

/// Bytes of a declaration; more is refused.
const LENGTH: usize = 4096;

/// A C type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CType {
    /// `void`.
    Void,
    /// An integer of C's own.
    Int {
        /// Size in bytes: 1, 2, 4, 8 or 16.
        bytes: u8,
        /// Has it a sign? `char` has one, as on x86.
        signed: bool,
    },
    /// `_Bool`.
    Bool,
    /// `float` (4 bytes) or `double` (8 bytes).
    Float(u8),
    /// A typedef's name, unresolved.
    Typedef(String),
    /// `struct NAME`.
    Struct(String),
    /// `union NAME`.
    Union(String),
    /// `enum NAME`.
    Enum(String),
    /// A qualified type.
    Const(Box<CType>),
    /// A pointer.
    Pointer {
        /// What it points to.
        to: Box<CType>,
        /// Type tags, outermost first and without underscores: `rcu`, `user`, `percpu`.
        tags: Vec<String>,
    },
    /// An array of elements; no length means that the declaration gives none.
    Array {
        /// An element's type.
        of: Box<CType>,
        /// Number of elements.
        length: Option<u64>,
    },
    /// A function, as in a pointer to one.
    Function(Box<Signature>),
}

impl CType {
    /// The type without its outer `const`.
    pub fn unqualified(&self) -> &CType {
        match self {
            CType::Const(inner) => inner.unqualified(),
            other => other,
        }
    }

    /// What a pointer points to, without `const`; `None` for anything else.
    pub fn pointee(&self) -> Option<&CType> {
        match self.unqualified() {
            CType::Pointer { to, .. } => Some(to.unqualified()),
            _ => None,
        }
    }

    /// The name of the structure that this is or points to, however many pointers deep.
    pub fn struct_name(&self) -> Option<&str> {
        match self.unqualified() {
            CType::Struct(name) => Some(name),
            CType::Pointer { to, .. } => to.struct_name(),
            _ => None,
        }
    }
}

/// Parameters and result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// In order.
    pub params: Vec<Param>,
    /// Result.
    pub ret: CType,
    /// Ends in `...`.
    pub variadic: bool,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Param {
    /// Empty if the declaration gives none. kfunc rules read its suffix (`__k`, `__sz`, `__ign` …).
    pub name: String,
    /// Type; arrays and functions have become pointers, as in C.
    pub ty: CType,
}

impl Param {
    /// Does the name end in the suffix `__SUFFIX`? (`btf_param_match_suffix`, Linux 6.12.)
    pub fn has_suffix(&self, suffix: &str) -> bool {
        self.name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with("__"))
    }
}

/// A named function's declaration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Prototype {
    /// Function name.
    pub name: String,
    /// In order.
    pub params: Vec<Param>,
    /// Result.
    pub ret: CType,
    /// Ends in `...`.
    pub variadic: bool,
}

/// A variable's, member's or typedef's declaration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Declaration {
    /// Empty for a bare type.
    pub name: String,
    /// Its type.
    pub ty: CType,
}

/// Why a declaration was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at column {column} of `{text}`")]
pub struct PrototypeError {
    /// What was wrong.
    pub message: String,
    /// Where, in characters from 1.
    pub column: usize,
    /// The text that was parsed, cut to 200 characters.
    pub text: String,
}

impl Prototype {
    /// Parses `RESULT NAME(PARAMETERS)`, with or without a final `;`.
    ///
    /// # Errors
    /// If it is not such a declaration, nests deeper than 32, or is longer than 4096 bytes.
    pub fn parse(text: &str) -> Result<Self, PrototypeError> {
        let declaration = Declaration::parse(text)?;
        match declaration.ty {
            CType::Function(signature) if !declaration.name.is_empty() => {
                let Signature { params, ret, variadic } = *signature;
                Ok(Self { name: declaration.name, params, ret, variadic })
            }
            _ => Err(Lexer::new(text).error("this declares no function")),
        }
    }
}

impl TryFrom<String> for Prototype {
    type Error = PrototypeError;

    fn try_from(text: String) -> Result<Self, PrototypeError> {
        Self::parse(&text)
    }
}

impl Declaration {
    /// Parses `TYPE NAME`, or a bare `TYPE`.
    ///
    /// # Errors
    /// If it is not a declaration, nests deeper than 32, or is longer than 4096 bytes.
    pub fn parse(text: &str) -> Result<Self, PrototypeError> {
        let mut lexer = Lexer::new(text);
        if text.len() > LENGTH {
            return Err(lexer.error("a declaration longer than 4096 bytes"));
        }
        let (name, ty) = declaration(&mut lexer, DEPTH)?;
        lexer.accept(";");
        match lexer.peek() {
            Token::End => Ok(Self { name, ty }),
            _ => Err(lexer.error("expected the end of the declaration")),
        }
    }
}

impl TryFrom<String> for Declaration {
    type Error = PrototypeError;

    fn try_from(text: String) -> Result<Self, PrototypeError> {
        Self::parse(&text)
    }
}

/// `SPECIFIERS DECLARATOR`.
fn declaration(lexer: &mut Lexer<'_>, depth: usize) -> Result<(String, CType), PrototypeError> {
    let base = specifiers(lexer)?;
    declarator(lexer, base, depth)
}

/// What stands before pointers and names: qualifiers and one type.
fn specifiers(lexer: &mut Lexer<'_>) -> Result<CType, PrototypeError> {
    let mut constant = false;
    let mut integer = IntegerWords::default();
    let mut found: Option<CType> = None;
    while let Token::Word(word) = lexer.peek() {
        match word {
            "const" => constant = true,
            "volatile" | "restrict" | "extern" | "static" | "register" => {}
            "struct" | "union" | "enum" if found.is_none() && !integer.any => {
                lexer.next();
                let name = lexer.word("expected a name after `struct`, `union` or `enum`")?.to_owned();
                found = Some(match word {
                    "struct" => CType::Struct(name),
                    "union" => CType::Union(name),
                    _ => CType::Enum(name),
                });
                continue;
            }
            "void" if found.is_none() && !integer.any => found = Some(CType::Void),
            "_Bool" if found.is_none() && !integer.any => found = Some(CType::Bool),
            "float" if found.is_none() && !integer.any => found = Some(CType::Float(4)),
            _ if found.is_none() && integer.take(word) => {}
            _ if found.is_none() && !integer.any => found = Some(CType::Typedef(word.to_owned())),
            _ => break,
        }
        lexer.next();
    }
    let ty = match (found, integer.any) {
        (Some(ty), _) => ty,
        (None, true) => integer.finish(),
        (None, false) => return Err(lexer.error("expected a type")),
    };
    Ok(if constant { CType::Const(Box::new(ty)) } else { ty })
}

/// The words that make up an integer type, in any order.
#[derive(Default)]
struct IntegerWords {
    any: bool,
    unsigned: bool,
    char: bool,
    short: bool,
    longs: u8,
    wide: bool,
    double: bool,
}

impl IntegerWords {
    /// Takes a word if it is one of them.
    fn take(&mut self, word: &str) -> bool {
        match word {
            "unsigned" => self.unsigned = true,
            "signed" | "int" => {}
            "char" => self.char = true,
            "short" => self.short = true,
            "long" => self.longs = self.longs.saturating_add(1),
            "__int128" => self.wide = true,
            "double" => self.double = true,
            _ => return false,
        }
        self.any = true;
        true
    }

    fn finish(&self) -> CType {
        if self.double {
            return CType::Float(8);
        }
        let bytes = match (self.wide, self.char, self.short, self.longs) {
            (true, ..) => 16,
            (_, true, ..) => 1,
            (_, _, true, _) => 2,
            (_, _, _, 0) => 4,
            _ => 8,
        };
        CType::Int { bytes, signed: !self.unsigned }
    }
}

/// `TAGS * QUALIFIERS … NAME SUFFIXES`, around the type `base`.
fn declarator(lexer: &mut Lexer<'_>, base: CType, depth: usize) -> Result<(String, CType), PrototypeError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(lexer.error("nested too deeply"));
    };
    let mut ty = base;
    let mut tags = Vec::new();
    loop {
        if lexer.accept("*") {
            ty = CType::Pointer { to: Box::new(ty), tags: std::mem::take(&mut tags) };
            while let Token::Word("const" | "volatile" | "restrict") = lexer.peek() {
                if lexer.peek() == Token::Word("const") {
                    ty = CType::Const(Box::new(ty));
                }
                lexer.next();
            }
        } else if let Some(tag) = lexer.tag() {
            tags.push(tag.to_owned());
        } else {
            break;
        }
    }
    if lexer.peek() == Token::Mark("(") && lexer.opens_declarator() {
        return parenthesised(lexer, ty, depth);
    }
    let name = match lexer.peek() {
        Token::Word(word) => {
            lexer.next();
            word.to_owned()
        }
        _ => String::new(),
    };
    Ok((name, suffixes(lexer, ty, depth)?))
}

/// `( DECLARATOR ) SUFFIXES`: the suffixes belong to `base`, and the inner declarator to the result.
fn parenthesised(lexer: &mut Lexer<'_>, base: CType, depth: usize) -> Result<(String, CType), PrototypeError> {
    lexer.expect("(")?;
    let inner = lexer.clone();
    lexer.skip_parenthesised()?;
    let outer = suffixes(lexer, base, depth)?;
    let after = lexer.clone();
    *lexer = inner;
    let found = declarator(lexer, outer, depth)?;
    lexer.expect(")")?;
    *lexer = after;
    Ok(found)
}

/// `[LENGTH]…` or `(PARAMETERS)` behind a name.
fn suffixes(lexer: &mut Lexer<'_>, base: CType, depth: usize) -> Result<CType, PrototypeError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(lexer.error("nested too deeply"));
    };
    if lexer.accept("[") {
        let length = lexer.number();
        lexer.expect("]")?;
        let of = Box::new(suffixes(lexer, base, depth)?);
        return Ok(CType::Array { of, length });
    }
    if lexer.accept("(") {
        let (params, variadic) = parameters(lexer, depth)?;
        return Ok(CType::Function(Box::new(Signature { params, ret: base, variadic })));
    }
    Ok(base)
}

/// Parameters up to and with the closing parenthesis.
fn parameters(lexer: &mut Lexer<'_>, depth: usize) -> Result<(Vec<Param>, bool), PrototypeError> {
    let mut params = Vec::new();
    if lexer.accept(")") {
        return Ok((params, false));
    }
    loop {
        if lexer.accept("...") {
            lexer.expect(")")?;
            return Ok((params, true));
        }
        let (name, ty) = declaration(lexer, depth)?;
        params.push(Param { name, ty: decay(ty) });
        if lexer.accept(")") {
            break;
        }
        lexer.expect(",")?;
    }
    if let [Param { name, ty: CType::Void }] = params.as_slice()
        && name.is_empty()
    {
        params.clear();
    }
    Ok((params, false))
}

/// A parameter of array or function type is a pointer.
fn decay(ty: CType) -> CType {
    match ty {
        CType::Array { of, .. } => CType::Pointer { to: of, tags: Vec::new() },
        CType::Function(_) => CType::Pointer { to: Box::new(ty), tags: Vec::new() },
        other => other,
    }
}

impl fmt::Display for CType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&declare(self, String::new()))
    }
}

impl fmt::Display for Prototype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = Signature { params: self.params.clone(), ret: self.ret.clone(), variadic: self.variadic };
        formatter.write_str(&declare(&CType::Function(Box::new(signature)), self.name.clone()))
    }
}

/// C text that declares `inner` to be of this type.
fn declare(ty: &CType, inner: String) -> String {
    let named = |left: &str| if inner.is_empty() { left.to_owned() } else { format!("{left} {inner}") };
    let grouped = |inner: String| if inner.starts_with('*') { format!("({inner})") } else { inner };
    match ty {
        CType::Void => named("void"),
        CType::Bool => named("_Bool"),
        CType::Float(4) => named("float"),
        CType::Float(_) => named("double"),
        CType::Int { bytes, signed } => {
            let word = match bytes {
                1 => "char",
                2 => "short",
                4 => "int",
                8 => "long",
                _ => "__int128",
            };
            named(&if *signed { word.to_owned() } else { format!("unsigned {word}") })
        }
        CType::Typedef(name) => named(name),
        CType::Struct(name) => named(&format!("struct {name}")),
        CType::Union(name) => named(&format!("union {name}")),
        CType::Enum(name) => named(&format!("enum {name}")),
        CType::Const(to) => match to.as_ref() {
            CType::Pointer { .. } => declare(to, format!("const {inner}").trim_end().to_owned()),
            _ => format!("const {}", declare(to, inner)),
        },
        CType::Pointer { to, tags } => {
            let tags: String = tags.iter().map(|tag| format!("__{tag} ")).collect();
            declare(to, format!("{tags}*{inner}"))
        }
        CType::Array { of, length } => {
            let length = length.map(|length| length.to_string()).unwrap_or_default();
            declare(of, format!("{}[{length}]", grouped(inner)))
        }
        CType::Function(signature) => {
            let mut params: Vec<String> =
                signature.params.iter().map(|param| declare(&param.ty, param.name.clone())).collect();
            if signature.variadic {
                params.push("...".to_owned());
            }
            let params = if params.is_empty() { "void".to_owned() } else { params.join(", ") };
            declare(&signature.ret, format!("{}({params})", grouped(inner)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(to: CType) -> CType {
        CType::Pointer { to: Box::new(to), tags: Vec::new() }
    }

    #[test]
    fn kfunc_prototype() {
        let found = Prototype::parse(
            "int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node, bool (*less)(struct \
             bpf_rb_node *, const struct bpf_rb_node *), void *meta__ign, u64 off)",
        )
        .expect("a valid prototype");
        assert_eq!(found.name, "bpf_rbtree_add_impl");
        assert_eq!(found.params.len(), 5);
        assert_eq!(found.params[0].ty.struct_name(), Some("bpf_rb_root"));
        let Some(CType::Function(less)) = found.params[2].ty.pointee() else {
            panic!("`less` is a pointer to a function: {:?}", found.params[2].ty);
        };
        assert_eq!(less.params.len(), 2);
        assert_eq!(less.ret, CType::Typedef("bool".to_owned()));
        assert!(found.params[3].has_suffix("ign"));
        assert!(!found.params[4].has_suffix("ign"));
    }

    #[test]
    fn integers_in_any_order() {
        for (text, bytes, signed) in [
            ("long unsigned int", 8, false),
            ("unsigned long long", 8, false),
            ("short int", 2, true),
            ("char", 1, true),
            ("unsigned", 4, false),
            ("signed char", 1, true),
        ] {
            assert_eq!(Declaration::parse(text).map(|found| found.ty), Ok(CType::Int { bytes, signed }), "{text}");
        }
    }

    #[test]
    fn tags_stand_before_their_star() {
        let found = Declaration::parse("struct css_set __rcu *cgroups").expect("a valid member");
        let to = Box::new(CType::Struct("css_set".to_owned()));
        assert_eq!(found.ty, CType::Pointer { to, tags: vec!["rcu".to_owned()] });
        assert_eq!(Declaration::parse("__u64 __opaque[2]").map(|found| found.name), Ok("__opaque".to_owned()));
    }

    #[test]
    fn arrays_and_pointers() {
        let found = Declaration::parse("struct cgroup *ancestors[4]").expect("a valid member");
        let of = Box::new(pointer(CType::Struct("cgroup".to_owned())));
        assert_eq!(found.ty, CType::Array { of, length: Some(4) });
        let found = Declaration::parse("int (*rows)[8]").expect("a valid member");
        assert!(matches!(found.ty.pointee(), Some(CType::Array { length: Some(8), .. })));
    }

    #[test]
    fn printing_and_parsing_agree() {
        for text in [
            "void *bpf_map_lookup_elem(struct bpf_map *map, const void *key)",
            "int f(void)",
            "long bpf_trace_printk(const char *fmt, u32 fmt_size, ...)",
            "struct a *(*g(int))(char)",
            "int h(int (*cb)(void *, int *, void *), struct t __rcu *p, char *const q)",
        ] {
            let found = Prototype::parse(text).expect(text);
            assert_eq!(Prototype::parse(&found.to_string()).as_ref(), Ok(&found), "{found}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for text in
            ["", "int", "int f(", "int f(int", "struct *x()", "int f(int,)", "int f() x", "f(", "(((((", "int f(@)"]
        {
            assert!(Prototype::parse(text).is_err(), "{text}");
        }
        let error = Prototype::parse("int f(struct)").expect_err("no name");
        assert_eq!(error.column, 13);
        let deep = format!("int {}f{}(void)", "(*".repeat(10_000), ")".repeat(10_000));
        assert!(Prototype::parse(&deep).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in "[a-z_ *(),.\\[\\]0-9;]{0,60}") {
            let _ = Prototype::parse(&text);
        }
    }
}
