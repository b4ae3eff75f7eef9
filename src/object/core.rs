//! CO-RE relocations.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::btf::Btf;

use super::code::Code;
use super::elf::Elf;
use super::error::ObjectError;
use super::ext::Ext;

/// `BPF_CORE_TYPE_ID_LOCAL`.
const TYPE_ID_LOCAL: u32 = 6;

/// Applies the relocations of an object.
pub(super) fn relocate(
    elf: &Elf<'_>,
    code: &mut Code<'_>,
    btf: &Btf,
    ext: &Ext,
    _kernel: Option<&Btf>,
    unresolved: &mut FxHashMap<(usize, usize), Arc<str>>,
) -> Result<FxHashMap<usize, ObjectError>, ObjectError> {
    for part in &ext.core {
        let Some((section, _)) = elf.section_named(&part.section) else { continue };
        for record in &part.records {
            let slot = record.offset as usize / 8;
            if record.kind == TYPE_ID_LOCAL {
                if let Some(insn) = code.slot_mut(section, slot) {
                    insn.imm = record.type_id.0 as i32;
                }
            } else {
                let what = format!("the kernel's types: {} + {}", btf.ty(record.type_id).name(), record.access);
                unresolved.insert((section, slot), Arc::from(what));
            }
        }
    }
    Ok(FxHashMap::default())
}
