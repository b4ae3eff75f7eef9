//! Kernel types from the built-in declarations, for use where no kernel BTF is at hand.
//!
//! Structs, typedefs, kfuncs and attach targets of the data files become one [`Btf`], so that everything else works
//! with BTF alone. A struct that is only named is opaque: it has no fields and no size.

use rustc_hash::FxHashMap;

use super::embedded::Structure;
use super::prototype::{CType, Prototype};
use super::tables::Tables;
use crate::btf::{Btf, BtfBuilder, Composite, IntEncoding, Linkage, Member, Parameter, Type, TypeId};

/// The build that the embedded tables are from.
pub const BUILD: &str = "6.12.117+deb12-cloud-amd64";

/// Builds the types that the tables declare.
#[must_use]
pub fn build(tables: &Tables) -> Btf {
    let mut builder = Builder { btf: BtfBuilder::new(), known: FxHashMap::default() };
    let (structures, typedefs) = tables.types();
    let structures: Vec<&Structure> = structures.collect();
    let typedefs: Vec<_> = typedefs.collect();
    for structure in &structures {
        builder.composite(&structure.name, false);
    }
    for typedef in &typedefs {
        let target = match &typedef.target {
            Some(declaration) => builder.add(&declaration.ty),
            None => builder.push(Type::Struct(opaque("", typedef.size.unwrap_or(0)))),
        };
        builder.typedef(&typedef.name, target);
    }
    for structure in structures {
        builder.fill(structure);
    }
    for kfunc in tables.kfuncs() {
        builder.function(&kfunc.prototype);
    }
    for target in tables.targets().functions.iter().chain(&tables.targets().lsm_hooks) {
        builder.function(&target.prototype);
    }
    for target in &tables.targets().tracepoints {
        builder.tracepoint(&target.prototype);
    }
    builder.btf.finish().unwrap_or_default()
}

fn opaque(name: &str, size: u32) -> Composite {
    Composite { name: name.into(), size, members: Vec::new() }
}

struct Builder {
    btf: BtfBuilder,
    /// Named types by what C would write.
    known: FxHashMap<String, TypeId>,
}

impl Builder {
    fn push(&mut self, ty: Type) -> TypeId {
        self.btf.push(ty)
    }

    fn named(&mut self, key: String, make: impl FnOnce() -> Type) -> TypeId {
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        let id = self.push(make());
        self.known.insert(key, id);
        id
    }

    fn composite(&mut self, name: &str, is_union: bool) -> TypeId {
        let composite = opaque(name, 0);
        if is_union {
            self.named(format!("union {name}"), || Type::Union(composite))
        } else {
            self.named(format!("struct {name}"), || Type::Struct(composite))
        }
    }

    fn typedef(&mut self, name: &str, target: TypeId) -> TypeId {
        self.named(name.to_owned(), || Type::Typedef { name: name.into(), target })
    }

    fn int(&mut self, name: &str, size: u32, encoding: IntEncoding) -> TypeId {
        let (name, bits) = (name.to_owned(), (size * 8).min(128) as u8);
        self.named(name.clone(), || Type::Int { name: name.into(), size, bits, offset: 0, encoding })
    }

    fn add(&mut self, ty: &CType) -> TypeId {
        match ty {
            CType::Void => TypeId::VOID,
            CType::Int { bytes, signed } => {
                let name = match (bytes, signed) {
                    (1, true) => "char",
                    (1, false) => "unsigned char",
                    (2, true) => "short",
                    (2, false) => "unsigned short",
                    (4, true) => "int",
                    (4, false) => "unsigned int",
                    (8, true) => "long long",
                    (8, false) => "unsigned long long",
                    (_, true) => "__int128",
                    (_, false) => "unsigned __int128",
                };
                self.int(name, u32::from(*bytes), IntEncoding { signed: *signed, ..IntEncoding::default() })
            }
            CType::Bool => self.int("_Bool", 1, IntEncoding { bool: true, ..IntEncoding::default() }),
            CType::Float(bytes) => {
                let size = u32::from(*bytes);
                self.named(format!("float{size}"), || Type::Float { name: "double".into(), size })
            }
            CType::Typedef(name) => self.typedef_by_name(name),
            CType::Struct(name) => self.composite(name, false),
            CType::Union(name) => self.composite(name, true),
            CType::Enum(name) => self.named(format!("enum {name}"), || Type::Enum {
                name: name.as_str().into(),
                size: 4,
                signed: false,
                is_64: false,
                values: Vec::new(),
            }),
            CType::Const(inner) => {
                let target = self.add(inner);
                self.push(Type::Const { target })
            }
            CType::Pointer { to, tags } => {
                let mut target = self.add(to);
                for tag in tags.iter().rev() {
                    target = self.push(Type::TypeTag { name: tag.as_str().into(), target });
                }
                self.push(Type::Pointer { target })
            }
            CType::Array { of, length } => {
                let element = self.add(of);
                let index = self.add(&CType::Int { bytes: 4, signed: true });
                let count = length.map_or(0, |length| u32::try_from(length).unwrap_or(u32::MAX));
                self.push(Type::Array { element, index, count })
            }
            CType::Function(signature) => {
                let returns = self.add(&signature.ret);
                let parameters = signature
                    .params
                    .iter()
                    .map(|param| Parameter { name: "".into(), type_id: self.add(&param.ty) })
                    .collect();
                self.push(Type::FunctionPrototype { returns, parameters })
            }
        }
    }

    /// Integers that the data files name but do not declare; anything else unknown is opaque.
    fn typedef_by_name(&mut self, name: &str) -> TypeId {
        if let Some(&id) = self.known.get(name) {
            return id;
        }
        let integer = match name.trim_start_matches('_') {
            "u8" | "uint8_t" => Some((1, false)),
            "u16" | "be16" | "uint16_t" => Some((2, false)),
            "u32" | "be32" | "uint32_t" | "gfp_t" => Some((4, false)),
            "u64" | "be64" | "uint64_t" | "size_t" | "uintptr_t" => Some((8, false)),
            "s8" => Some((1, true)),
            "s16" => Some((2, true)),
            "s32" | "pid_t" | "kernel_pid_t" => Some((4, true)),
            "s64" | "ssize_t" | "loff_t" => Some((8, true)),
            "bool" => return self.add(&CType::Bool),
            _ => None,
        };
        let target = match integer {
            Some((bytes, signed)) => self.add(&CType::Int { bytes, signed }),
            None => self.push(Type::Struct(opaque("", 0))),
        };
        self.typedef(name, target)
    }

    fn fill(&mut self, structure: &Structure) {
        let id = self.composite(&structure.name, false);
        let members = structure
            .fields
            .iter()
            .map(|field| Member {
                name: field.declaration.name.as_str().into(),
                type_id: self.add(&field.declaration.ty),
                bit_offset: field.offset * 8 + u32::from(field.bit.unwrap_or(0)),
                bitfield_size: field.bits.unwrap_or(0),
            })
            .collect();
        let composite = Composite { name: structure.name.as_str().into(), size: structure.size, members };
        self.btf.replace(id, Type::Struct(composite));
    }

    fn function(&mut self, prototype: &Prototype) {
        let key = format!("{}()", prototype.name);
        if self.known.contains_key(&key) {
            return;
        }
        let prototype_id = self.prototype(prototype);
        let name = prototype.name.as_str();
        self.named(key, || Type::Function { name: name.into(), prototype: prototype_id, linkage: Linkage::Global });
    }

    /// The kernel describes a tracepoint as a pointer to its function.
    fn tracepoint(&mut self, prototype: &Prototype) {
        let function = self.prototype(prototype);
        let pointer = self.push(Type::Pointer { target: function });
        self.typedef(&format!("btf_trace_{}", prototype.name), pointer);
    }

    fn prototype(&mut self, prototype: &Prototype) -> TypeId {
        let returns = self.add(&prototype.ret);
        let parameters = prototype
            .params
            .iter()
            .map(|param| Parameter { name: param.name.as_str().into(), type_id: self.add(&param.ty) })
            .collect();
        self.push(Type::FunctionPrototype { returns, parameters })
    }
}
