//! The types of an object of generated programs.

use rustc_hash::FxHashMap;

use crate::btf::{Btf, BtfBuilder, Composite, IntEncoding, Linkage, Member, Parameter, SectionVariable, Type, TypeId};
use crate::kernel::{CType, Prototype};
use crate::soundness::program::ProgramKind;
use crate::soundness::program::universe::{MapName, MemberKind, Structure};

/// Bytes of one map's declaration: four pointers.
pub(super) const MAP_BYTES: u32 = 32;

/// The types, and where to find what instructions and sections refer to.
#[derive(Debug)]
pub(super) struct Types {
    builder: BtfBuilder,
    c_types: FxHashMap<CType, TypeId>,
    structures: FxHashMap<Structure, TypeId>,
    functions: FxHashMap<String, TypeId>,
    prototypes: FxHashMap<(ProgramKind, bool, usize), TypeId>,
    kfuncs: Vec<(String, TypeId)>,
}

impl Types {
    pub(super) fn new() -> Self {
        let mut types = Types {
            builder: BtfBuilder::new(),
            c_types: FxHashMap::default(),
            structures: FxHashMap::default(),
            functions: FxHashMap::default(),
            prototypes: FxHashMap::default(),
            kfuncs: Vec::new(),
        };
        for structure in Structure::ALL {
            types.add_structure(structure);
        }
        types.add_maps();
        types.add_license();
        types
    }

    /// The id of a structure, as instructions name it.
    pub(super) fn structure(&self, structure: Structure) -> TypeId {
        self.structures.get(&structure).copied().unwrap_or_default()
    }

    /// The id of a function.
    pub(super) fn function(&self, name: &str) -> TypeId {
        self.functions.get(name).copied().unwrap_or_default()
    }

    /// Kernel functions, in the order in which they were added.
    pub(super) fn kfuncs(&self) -> impl Iterator<Item = &str> {
        self.kfuncs.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn btf(&self) -> &Btf {
        self.builder.btf()
    }

    fn int(&mut self, bytes: u8, signed: bool) -> TypeId {
        self.c_type(&CType::Int { bytes, signed })
    }

    /// The id of a C type. Structures are named and left empty; typedefs of the kernel's are numbers here, for what
    /// libbpf compares of them is no more than the kind.
    fn c_type(&mut self, ty: &CType) -> TypeId {
        if let Some(&id) = self.c_types.get(ty) {
            return id;
        }
        let id = match ty {
            CType::Void => TypeId::VOID,
            CType::Const(inner) => {
                let target = self.c_type(inner);
                self.builder.push(Type::Const { target })
            }
            CType::Pointer { to, .. } => {
                let target = self.c_type(to);
                self.builder.push(Type::Pointer { target })
            }
            CType::Array { of, .. } => {
                let target = self.c_type(of);
                self.builder.push(Type::Pointer { target })
            }
            CType::Function(signature) => {
                let returns = self.c_type(&signature.ret);
                let parameters = signature.params.iter().map(|param| (param.name.as_str(), self.c_type(&param.ty)));
                let parameters: Vec<Parameter> =
                    parameters.map(|(name, type_id)| Parameter { name: name.into(), type_id }).collect();
                self.builder.push(Type::FunctionPrototype { returns, parameters })
            }
            CType::Struct(name) => self.builder.push(Type::Struct(empty(name))),
            CType::Union(name) => self.builder.push(Type::Union(empty(name))),
            CType::Enum(name) => self.builder.push(Type::Enum {
                name: name.as_str().into(),
                size: 4,
                signed: false,
                is_64: false,
                values: Vec::new(),
            }),
            CType::Bool => self.push_int("_Bool", 1, IntEncoding { bool: true, ..IntEncoding::default() }),
            CType::Float(bytes) => self.builder.push(Type::Float {
                name: if *bytes == 4 { "float" } else { "double" }.into(),
                size: u32::from(*bytes),
            }),
            CType::Int { bytes, signed } => {
                let name = int_name(*bytes, *signed);
                self.push_int(name, *bytes, IntEncoding { signed: *signed, ..IntEncoding::default() })
            }
            CType::Typedef(name) => {
                let (bytes, signed) = typedef_size(name);
                if name == "bool" { self.c_type(&CType::Bool) } else { self.int(bytes, signed) }
            }
        };
        self.c_types.insert(ty.clone(), id);
        id
    }

    fn push_int(&mut self, name: &str, bytes: u8, encoding: IntEncoding) -> TypeId {
        self.builder.push(Type::Int { name: name.into(), size: u32::from(bytes), bits: bytes * 8, offset: 0, encoding })
    }

    fn add_structure(&mut self, structure: Structure) {
        let mut tags = Vec::new();
        let mut members = Vec::new();
        for (index, member) in structure.members().iter().enumerate() {
            let type_id = self.member_type(member.kind);
            let bit_offset = 8 * u32::from(member.offset.unsigned_abs());
            members.push(Member { name: member.name.into(), type_id, bit_offset, bitfield_size: 0 });
            if let MemberKind::ListHead(of, by) | MemberKind::TreeRoot(of, by) = member.kind {
                tags.push((index as u32, format!("contains:{}:{by}", of.name())));
            }
        }
        let composite = Composite { name: structure.name().into(), size: structure.size(), members };
        let id = self.builder.push(Type::Struct(composite));
        self.structures.insert(structure, id);
        for (component, name) in tags {
            self.builder.push(Type::DeclTag { name: name.into(), target: id, component: Some(component) });
        }
    }

    fn member_type(&mut self, kind: MemberKind) -> TypeId {
        match kind {
            MemberKind::Number(size) => self.int(size.bytes() as u8, false),
            MemberKind::Numbers(count) => {
                let (element, index) = (self.int(8, false), self.int(4, false));
                self.builder.push(Type::Array { element, index, count })
            }
            MemberKind::PercpuKptr(to) => self.tagged_pointer("percpu_kptr", to),
            MemberKind::Kptr(to) => self.tagged_pointer("kptr", to),
            MemberKind::SpinLock => self.opaque("bpf_spin_lock", kind),
            MemberKind::ListHead(..) => self.opaque("bpf_list_head", kind),
            MemberKind::TreeRoot(..) => self.opaque("bpf_rb_root", kind),
            MemberKind::ListNode => self.opaque("bpf_list_node", kind),
            MemberKind::TreeNode => self.opaque("bpf_rb_node", kind),
            MemberKind::Refcount => self.opaque("bpf_refcount", kind),
        }
    }

    fn tagged_pointer(&mut self, tag: &str, to: Structure) -> TypeId {
        let structure = self.structure(to);
        let target = self.builder.push(Type::TypeTag { name: tag.into(), target: structure });
        self.builder.push(Type::Pointer { target })
    }

    /// A structure of the kernel's that programs do not look into: only name, size and alignment are of interest.
    fn opaque(&mut self, name: &str, kind: MemberKind) -> TypeId {
        let ty = CType::Struct(name.to_owned());
        if let Some(&id) = self.c_types.get(&ty) {
            return id;
        }
        let size = kind.bytes();
        let unit = size.min(8) as u8;
        let element = self.int(unit, false);
        let index = self.int(4, false);
        let count = size / u32::from(unit);
        let type_id = self.builder.push(Type::Array { element, index, count });
        let members = vec![Member { name: "opaque".into(), type_id, bit_offset: 0, bitfield_size: 0 }];
        let id = self.builder.push(Type::Struct(Composite { name: name.into(), size, members }));
        self.c_types.insert(ty, id);
        id
    }

    fn add_maps(&mut self) {
        let mut variables = Vec::new();
        for (index, map) in MapName::ALL.into_iter().enumerate() {
            let key = self.int(4, false);
            let value = self.structure(map.value());
            let types = [
                ("type", self.number_pointer(map.map_type())),
                ("max_entries", self.number_pointer(map.max_entries())),
                ("key", self.builder.push(Type::Pointer { target: key })),
                ("value", self.builder.push(Type::Pointer { target: value })),
            ];
            let member = |(index, (name, type_id)): (usize, (&str, TypeId))| Member {
                name: name.into(),
                type_id,
                bit_offset: 64 * index as u32,
                bitfield_size: 0,
            };
            let members = types.into_iter().enumerate().map(member).collect();
            let declaration = Composite { name: "".into(), size: MAP_BYTES, members };
            let type_id = self.builder.push(Type::Struct(declaration));
            let variable =
                self.builder.push(Type::Variable { name: map.name().into(), type_id, linkage: Linkage::Global });
            variables.push(SectionVariable { type_id: variable, offset: MAP_BYTES * index as u32, size: MAP_BYTES });
        }
        let size = MAP_BYTES * variables.len() as u32;
        self.builder.push(Type::DataSection { name: ".maps".into(), size, variables });
    }

    /// `int (*)[number]`, as `__uint` of `bpf_helpers.h` makes it.
    fn number_pointer(&mut self, count: u32) -> TypeId {
        let (element, index) = (self.int(4, true), self.int(4, false));
        let target = self.builder.push(Type::Array { element, index, count });
        self.builder.push(Type::Pointer { target })
    }

    fn add_license(&mut self) {
        let (element, index) = (self.int(1, true), self.int(4, false));
        let count = super::elf::LICENSE.len() as u32;
        let type_id = self.builder.push(Type::Array { element, index, count });
        let variable = self.builder.push(Type::Variable { name: "_license".into(), type_id, linkage: Linkage::Global });
        let variables = vec![SectionVariable { type_id: variable, offset: 0, size: count }];
        self.builder.push(Type::DataSection { name: "license".into(), size: count, variables });
    }

    pub(super) fn add_kfunc(&mut self, prototype: &Prototype) {
        if self.functions.contains_key(&prototype.name) {
            return;
        }
        let mut ids = super::signature(prototype).map(|ty| self.c_type(ty)).collect::<Vec<_>>().into_iter();
        let returns = ids.next().unwrap_or_default();
        let names = prototype.params.iter().map(|param| param.name.as_str());
        let parameters = names.zip(ids).map(|(name, type_id)| Parameter { name: name.into(), type_id }).collect();
        let prototype_id = self.builder.push(Type::FunctionPrototype { returns, parameters });
        let function =
            Type::Function { name: prototype.name.as_str().into(), prototype: prototype_id, linkage: Linkage::Extern };
        let id = self.builder.push(function);
        self.functions.insert(prototype.name.clone(), id);
        self.kfuncs.push((prototype.name.clone(), id));
    }

    pub(super) fn add_function(&mut self, name: &str, kind: ProgramKind, index: usize, arguments: usize) {
        let entry = index == 0;
        let prototype = match self.prototypes.get(&(kind, entry, arguments)) {
            Some(&id) => id,
            None => {
                let id = self.function_prototype(kind, entry, arguments);
                self.prototypes.insert((kind, entry, arguments), id);
                id
            }
        };
        let linkage = if entry { Linkage::Global } else { Linkage::Static };
        let id = self.builder.push(Type::Function { name: name.into(), prototype, linkage });
        self.functions.insert(name.to_owned(), id);
    }

    fn function_prototype(&mut self, kind: ProgramKind, entry: bool, arguments: usize) -> TypeId {
        let returns = self.c_type(&super::returns());
        let context = match kind.context_type().filter(|_| entry) {
            Some(name) => CType::Struct(name.to_owned()),
            None => CType::Void,
        };
        let type_id = self.c_type(&CType::Pointer { to: Box::new(context), tags: Vec::new() });
        let parameters =
            (0..arguments).map(|index| Parameter { name: format!("argument{index}").into(), type_id }).collect();
        self.builder.push(Type::FunctionPrototype { returns, parameters })
    }

    /// Lists the kernel functions, behind which nothing more may be added.
    pub(super) fn finish(&mut self) {
        if self.kfuncs.is_empty() {
            return;
        }
        let variables =
            self.kfuncs.iter().map(|&(_, type_id)| SectionVariable { type_id, offset: 0, size: 0 }).collect();
        self.builder.push(Type::DataSection { name: ".ksyms".into(), size: 0, variables });
    }
}

fn empty(name: &str) -> Composite {
    Composite { name: name.into(), size: 0, members: Vec::new() }
}

fn int_name(bytes: u8, signed: bool) -> &'static str {
    match (bytes, signed) {
        (1, true) => "char",
        (1, false) => "unsigned char",
        (2, true) => "short",
        (2, false) => "unsigned short",
        (4, true) => "int",
        (4, false) => "unsigned int",
        (8, true) => "long",
        (8, false) => "unsigned long",
        (_, true) => "__int128",
        (_, false) => "unsigned __int128",
    }
}

/// Bytes and sign of a typedef of the kernel's, by its name.
fn typedef_size(name: &str) -> (u8, bool) {
    let signed = name.trim_start_matches('_').starts_with(['s', 'i']);
    let bits: String = name.chars().filter(char::is_ascii_digit).collect();
    match bits.as_str() {
        "8" => (1, signed),
        "16" => (2, signed),
        "32" => (4, signed),
        _ => (8, signed && bits == "64"),
    }
}
