//! Numbers out of bytes, by the names that the program gave them.

use kptrsim::btf::{Btf, Type, TypeId};

/// The number at the end of a path such as `.total.hits` or `.text[3]` in a value of some type.
///
/// # Errors
/// When the path leads nowhere, or not to a number, or the bytes end before it.
pub fn number(btf: &Btf, type_id: TypeId, path: &str, bytes: &[u8]) -> Result<i128, String> {
    let (mut type_id, mut offset, mut rest) = (type_id, 0usize, path);
    while !rest.is_empty() {
        let (inner, at, after) = step(btf, type_id, rest).ok_or_else(|| format!("`{path}`: nothing at `{rest}`"))?;
        (type_id, offset, rest) = (inner, offset + at, after);
    }
    let (size, signed) = match btf.ty(btf.resolve(type_id)) {
        Type::Int { size, encoding, .. } => (*size as usize, encoding.signed),
        Type::Enum { size, signed, .. } => (*size as usize, *signed),
        other => return Err(format!("`{path}` is no number but {other:?}")),
    };
    let found = bytes.get(offset..offset + size).ok_or_else(|| format!("`{path}` lies beyond the value"))?;
    Ok(little_endian(found, signed))
}

/// The number that these bytes are, the lowest first.
pub fn little_endian(bytes: &[u8], signed: bool) -> i128 {
    let negative = signed && bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    i128::from_le_bytes(wide)
}

/// One step of a path: the member's or element's type, its byte offset, and the rest of the path.
fn step<'p>(btf: &Btf, type_id: TypeId, path: &'p str) -> Option<(TypeId, usize, &'p str)> {
    if let Some(path) = path.strip_prefix('.') {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let member =
            btf.ty(btf.resolve(type_id)).composite()?.members.iter().find(|member| *member.name == path[..end])?;
        return Some((member.type_id, member.byte_offset() as usize, &path[end..]));
    }
    let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
    let Type::Array { element, count, .. } = *btf.ty(btf.resolve(type_id)) else { return None };
    let index: usize = index.parse().ok().filter(|index| *index < count as usize)?;
    let size = match btf.ty(btf.resolve(element)) {
        Type::Int { size, .. } | Type::Enum { size, .. } => *size as usize,
        other => other.composite()?.size as usize,
    };
    Some((element, index * size, rest))
}
