//! Types that the kernel takes, and such that differ from them by one step.

use super::{TypeRule, check};
use crate::btf::{BtfBuilder, Composite, IntEncoding, Linkage, Member, Parameter, SectionVariable, Type, TypeId};

const INT: TypeId = TypeId(1);

fn int() -> Type {
    Type::Int {
        name: "int".into(),
        size: 4,
        bits: 32,
        offset: 0,
        encoding: IntEncoding { signed: true, ..IntEncoding::default() },
    }
}

fn parameter(name: &str, type_id: TypeId) -> Parameter {
    Parameter { name: name.into(), type_id }
}

fn structure(size: u32, members: &[(&str, TypeId, u32)]) -> Type {
    let members = members
        .iter()
        .map(|&(name, type_id, bit_offset)| Member { name: name.into(), type_id, bit_offset, bitfield_size: 0 })
        .collect();
    Type::Struct(Composite { name: "s".into(), size, members })
}

/// What is said of an `int`, as type 1, and these types, from 2 on.
fn verdict(types: &[Type]) -> Result<(), TypeRule> {
    let mut builder = BtfBuilder::new();
    builder.push(int());
    for ty in types {
        builder.push(ty.clone());
    }
    check(&builder.finish().expect("no type dangles")).map_err(|refused| refused.rule)
}

fn function(parameters: &[Parameter], linkage: Linkage) -> [Type; 2] {
    [
        Type::FunctionPrototype { returns: INT, parameters: parameters.to_vec() },
        Type::Function { name: "f".into(), prototype: TypeId(2), linkage },
    ]
}

#[test]
fn parameters_of_functions_have_names() {
    assert_eq!(verdict(&function(&[parameter("a", INT)], Linkage::Global)), Ok(()));
    assert_eq!(verdict(&function(&[parameter("", INT)], Linkage::Global)), Err(TypeRule::Argument(1)));
    assert_eq!(verdict(&function(&[parameter("a", INT), parameter("", TypeId::VOID)], Linkage::Static)), Ok(()));
    let named_dots = [parameter("a", INT), parameter("b", TypeId::VOID)];
    assert_eq!(verdict(&function(&named_dots, Linkage::Static)), Err(TypeRule::Argument(2)));
}

#[test]
fn externs_are_made_the_programs_own() {
    let declared = function(&[parameter("", INT)], Linkage::Extern);
    assert_eq!(verdict(&declared), Err(TypeRule::FunctionLinkage));
    let variable = SectionVariable { type_id: TypeId(3), offset: 0, size: 0 };
    let section = Type::DataSection { name: ".ksyms".into(), size: 0, variables: vec![variable] };
    assert_eq!(verdict(&[&declared[..], &[section]].concat()), Ok(()));
}

#[test]
fn names_are_identifiers() {
    let named = |name: &str| verdict(&[Type::Typedef { name: name.into(), target: INT }]);
    assert_eq!(named("a.b_1"), Ok(()));
    assert_eq!(named(&"a".repeat(512)), Ok(()));
    for bad in ["", "1a", "a::b", "a<int>", "é", &"a".repeat(513)] {
        assert_eq!(named(bad), Err(TypeRule::Name), "{bad}");
    }
}

#[test]
fn members_lie_inside_their_struct() {
    assert_eq!(verdict(&[structure(8, &[("a", INT, 0), ("b", INT, 32)])]), Ok(()));
    assert_eq!(verdict(&[structure(7, &[("a", INT, 0), ("b", INT, 32)])]), Err(TypeRule::MemberSize));
    assert_eq!(verdict(&[structure(8, &[("a", INT, 32), ("b", INT, 0)])]), Err(TypeRule::MemberOffset));
    assert_eq!(verdict(&[structure(8, &[("a", TypeId(2), 0)])]), Err(TypeRule::Loop));
    let pointer = Type::Pointer { target: TypeId(2) };
    assert_eq!(verdict(&[structure(8, &[("a", TypeId(3), 0)]), pointer]), Ok(()));
}

#[test]
fn structs_lie_in_each_other_32_deep() {
    let nested = |depth: u32| {
        let outer = (0..depth - 1).map(|at| structure(4, &[("a", TypeId(at + 3), 0)]));
        verdict(&outer.chain([structure(4, &[("a", INT, 0)])]).collect::<Vec<_>>())
    };
    assert_eq!(nested(32), Ok(()));
    assert_eq!(nested(33), Err(TypeRule::TooDeep));
}

#[test]
fn variables_do_not_overlap() {
    let section = |offset: u32| {
        let variable = |type_id, offset| SectionVariable { type_id: TypeId(type_id), offset, size: 4 };
        verdict(&[
            Type::Variable { name: "a".into(), type_id: INT, linkage: Linkage::Global },
            Type::Variable { name: "b".into(), type_id: INT, linkage: Linkage::Static },
            Type::DataSection { name: ".bss".into(), size: 8, variables: vec![variable(2, 0), variable(3, offset)] },
        ])
    };
    assert_eq!(section(4), Ok(()));
    assert_eq!(section(3), Err(TypeRule::VariableOffset));
    assert_eq!(section(5), Err(TypeRule::VariableSize));
}

#[test]
fn tags_stand_before_modifiers() {
    let tag = |target| Type::TypeTag { name: "kptr".into(), target: TypeId(target) };
    assert_eq!(verdict(&[Type::Const { target: INT }, tag(2)]), Ok(()));
    assert_eq!(verdict(&[tag(1), Type::Const { target: TypeId(2) }]), Err(TypeRule::TagAfterModifier));
}
