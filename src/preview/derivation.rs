//! The attributes of an image in the output of `nix derivation show`.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::{escape, excerpt};

/// Returns the structured attributes of the only image in `document`: what Nix writes to
/// `.attrs.json`, but without the closure. A document that is a `.attrs.json` is returned unchanged.
///
/// # Errors
/// If there is no image or more than one.
pub fn attributes(document: Value) -> Result<Value> {
    if is_image(&document) {
        return Ok(document);
    }
    let derivations = match document.get("derivations") {
        // Nix 2.33 and later.
        Some(derivations) => derivations,
        None => &document,
    };
    let empty = Map::new();
    let derivations = derivations.as_object().unwrap_or(&empty);
    let mut images: Vec<(&String, Value)> = derivations
        .iter()
        .filter_map(|(name, derivation)| Some((name, structured(derivation)?)))
        .collect();
    match images.pop() {
        Some((_, image)) if images.is_empty() => Ok(image),
        Some((name, _)) => {
            images.push((name, Value::Null));
            let names: Vec<String> = images
                .iter()
                .map(|(name, _)| escape::short(name.as_bytes()))
                .collect();
            bail!(
                "{} images are described, but only one can be planned: run nix derivation show for one \
                 of them:\n{}",
                names.len(),
                excerpt::list(&names, "\n")
            )
        }
        None => bail!(
            "no image of make-disk-image is described; use the .attrs.json of a build, or the output of \
             nix derivation show for an image"
        ),
    }
}

fn is_image(attributes: &Value) -> bool {
    attributes.get("image").is_some_and(Value::is_object)
        && attributes.get("tools").is_some_and(Value::is_object)
}

/// Returns the structured attributes of `derivation` if it is an image.
fn structured(derivation: &Value) -> Option<Value> {
    let mut attributes = match derivation.get("structuredAttrs") {
        // Nix 2.30 and later.
        Some(attributes @ Value::Object(_)) => attributes.clone(),
        _ => {
            let text = derivation.pointer("/env/__json")?.as_str()?;
            serde_json::from_str(text).ok()?
        }
    };
    if !is_image(&attributes) {
        return None;
    }
    let store = attributes
        .pointer("/image/storeDir")
        .and_then(Value::as_str);
    let store = store.unwrap_or("/nix/store").to_owned();
    let path = derivation
        .pointer("/outputs/out/path")
        .and_then(Value::as_str);
    // Not in a derivation whose output is addressed by its content. Nothing is written there.
    let path = path.unwrap_or("00000000000000000000000000000000-image");
    attributes["outputs"] = json!({ "out": absolute(path, &store) });
    Some(attributes)
}

/// Returns a store path with its directory, which newer versions of Nix leave out.
pub fn absolute(path: &str, store: &str) -> String {
    match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{store}/{path}"),
    }
}

/// Returns the paths whose closure the image contains.
///
/// # Errors
/// If there are none.
pub fn roots(attributes: &Value) -> Result<Vec<&str>> {
    let roots = attributes.pointer("/exportReferencesGraph/closure");
    let roots = match roots {
        Some(Value::Array(roots)) => roots.iter().map(Value::as_str).collect(),
        Some(Value::String(root)) => Some(vec![root.as_str()]),
        _ => None,
    };
    roots
        .context("the derivation has no exportReferencesGraph.closure; use nix/make-disk-image.nix")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Value {
        json!({ "image": { "storeDir": "/nix/store" }, "tools": {}, "outputs": ["out"] })
    }

    #[test]
    fn reads_every_shape_of_a_derivation() {
        let path = "/nix/store/44444444444444444444444444444444-image";
        let base = "44444444444444444444444444444444-image";
        let outputs = |path: &str| json!({ "out": { "path": path } });
        for document in [
            json!({ "/nix/store/x.drv": { "env": { "__json": image().to_string() }, "outputs": outputs(path) } }),
            json!({ "/nix/store/x.drv": { "structuredAttrs": image(), "env": {}, "outputs": outputs(path) } }),
            json!({ "x.drv": { "structuredAttrs": image(), "outputs": outputs(base) } }),
            json!({ "version": 4, "derivations": { "x.drv": { "structuredAttrs": image(), "outputs": outputs(base) } } }),
            json!({
                "x.drv": { "structuredAttrs": image(), "outputs": outputs(base) },
                "y.drv": { "env": { "name": "y" } },
                "z.drv": { "env": { "__json": "{\"name\":\"z\"}" } },
            }),
        ] {
            let attributes = attributes(document.clone()).unwrap();
            assert_eq!(attributes["outputs"]["out"], path, "{document}");
        }
        let given = image();
        assert_eq!(attributes(given.clone()).unwrap(), given);
    }

    #[test]
    fn reports_no_image_and_several() {
        let error = |document: Value| attributes(document).unwrap_err().to_string();
        let none = "no image of make-disk-image is described; use the .attrs.json";
        for document in [
            json!({}),
            json!([]),
            json!({ "x.drv": { "env": { "__json": "{" } } }),
            json!({ "derivations": 1 }),
        ] {
            assert!(error(document).starts_with(none));
        }
        let derivation = json!({ "structuredAttrs": image() });
        let two = error(json!({ "x.drv": derivation, "y.drv": derivation }));
        assert_eq!(
            two,
            "2 images are described, but only one can be planned: run nix derivation show for one of \
             them:\nx.drv\ny.drv"
        );
    }

    #[test]
    fn names_the_roots() {
        let with = |roots: Value| json!({ "exportReferencesGraph": { "closure": roots } });
        assert_eq!(roots(&with(json!(["/a", "/b"]))).unwrap(), ["/a", "/b"]);
        assert_eq!(roots(&with(json!("/a"))).unwrap(), ["/a"]);
        assert!(roots(&with(json!([1]))).is_err());
        assert!(roots(&json!({})).is_err());
    }
}
