//! `image`: the picture of a kind of request.

use super::Row;
use crate::api::{Api, Picture};
use crate::plan::{PlanError, Read, limits};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

/// The name of the built-in picture.
const SMALL: &str = "@small";

impl Row<'_> {
    pub(super) fn picture(
        &self,
        api: Api,
        folder: &Path,
        read: &mut Read<'_>,
    ) -> Result<Option<Arc<Picture>>, PlanError> {
        let Some(name) = &self.request.image else { return Ok(None) };
        if !api.shows_pictures() {
            return Err(self.error("image", format!("{} takes no picture: expected no `image`", api.name())));
        }
        let others = [
            ("conversation", self.request.conversation.is_some()),
            ("dataset", self.request.dataset.is_some()),
            ("scenario", self.request.scenario.is_some()),
        ];
        if let Some((other, _)) = others.into_iter().find(|(_, is_written)| *is_written) {
            return Err(self.error("image", format!("cannot be used together with `{other}`: expected one of them")));
        }
        if name == SMALL {
            return Ok(Some(Arc::new(Picture::small())));
        }
        let path = folder.join(name);
        let shown = path.display();
        let file = bytes(&path, read).map_err(|error| {
            self.error("image", format!("cannot read {shown}: {error}; expected {SMALL} or a file beside the profile"))
        })?;
        if file.len() as u64 > limits::MAX_PICTURE_BYTES {
            let most = limits::MAX_PICTURE_BYTES >> 20;
            return Err(self.error("image", format!("{shown} is too large: expected at most {most} MiB")));
        }
        let picture = Picture::of(&file).ok_or_else(|| {
            self.error("image", format!("{shown} is not a picture: expected a PNG, JPEG, GIF or WebP file"))
        })?;
        Ok(Some(Arc::new(picture)))
    }
}

/// Reads a whole file, but at most one byte more than is allowed.
fn bytes(path: &Path, read: &mut Read<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read.open(path)?.input.take(limits::MAX_PICTURE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
