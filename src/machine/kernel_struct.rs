//! A struct of the kernel as the machine makes one: of its type's size, with those fields filled in that are modelled.
//!
//! Reading any other field ends the run, which names it.

use std::sync::Arc;

use crate::btf::{Btf, TypeId};

use super::fault::Trap;
use super::memory::{Contents, Memory};
use super::region::RegionKind;
use super::story::RegionId;
use super::types;

/// Size of a struct whose type is not known: its fields cannot be read, but it can be passed around.
pub(super) const UNKNOWN_SIZE: u32 = 4096;

fn type_named(btf: Option<&Btf>, name: &str) -> TypeId {
    btf.and_then(|btf| btf.find_struct(name)).unwrap_or(TypeId::VOID)
}

/// What a struct of the kernel of that name is in memory, and its size if its type is known.
pub(super) fn described(btf: Option<&Btf>, name: &str) -> (RegionKind, Option<u32>) {
    let type_id = type_named(btf, name);
    let size = btf.and_then(|btf| btf.size_of(type_id));
    (RegionKind::KernelObject { name: Arc::from(name), type_id }, size)
}

/// A kernel struct while its modelled fields are filled in.
pub(super) struct KernelStruct<'b> {
    btf: Option<&'b Btf>,
    type_id: TypeId,
    /// Where it is.
    pub region: RegionId,
}

impl<'b> KernelStruct<'b> {
    /// One without any field yet.
    ///
    /// # Errors
    /// [`Trap::Limit`] if memory is short.
    pub fn new(memory: &mut Memory, btf: Option<&'b Btf>, name: &str) -> Result<KernelStruct<'b>, Box<Trap>> {
        let type_id = type_named(btf, name);
        let (kind, size) = described(btf, name);
        let region = memory.allocate(kind, size.unwrap_or(UNKNOWN_SIZE), Contents::Sparse, None)?;
        Ok(KernelStruct { btf, type_id, region })
    }

    /// Fills a field in, if the types have it.
    pub fn set(&mut self, field: &str, bytes: &[u8], memory: &mut Memory) {
        if let Some(offset) = self.offset(field) {
            memory.poke(self.region, offset, bytes);
        }
    }

    /// Where a field is, `self.id` for one inside another.
    pub fn offset(&self, path: &str) -> Option<u32> {
        types::field(self.btf?, self.type_id, path).map(|(offset, _)| offset)
    }
}
