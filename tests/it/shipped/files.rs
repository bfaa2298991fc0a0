//! The configurations that people copy: the reference, the examples, the manifests and the blocks
//! of the pages.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::Value;

fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// Each of them, by the name of its file. Files that are no configuration are among them: they have
/// no key of one.
fn shipped() -> Vec<(String, Value)> {
    let mut files = vec![PathBuf::from("config/moongate.yaml")];
    for folder in ["config/examples", "deploy/kubernetes/base"] {
        files.extend(entries(folder));
    }
    for folders in ["deploy/kubernetes/overlays", "deploy/kubernetes/components"] {
        files.extend(entries(folders).into_iter().flat_map(entries));
    }
    let blocks = ["README.md", "deploy/operating.md"].into_iter().flat_map(|page| {
        let text = fs::read_to_string(page).expect(page);
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        blocks.map(|block| (page.to_owned(), block.to_owned())).collect::<Vec<_>>()
    });
    let files = files
        .into_iter()
        .map(|file| (file.display().to_string(), fs::read_to_string(&file).expect("a file")));
    let read =
        |(name, text): (String, String)| Some((name, serde_saphyr::from_str::<Value>(&text).ok()?));
    files.chain(blocks).filter_map(read).collect()
}

#[test]
fn one_model_has_one_price_wherever_it_is_shown() {
    let mut prices: BTreeMap<String, (String, Value)> = BTreeMap::new();
    let mut priced = shipped();
    priced.retain(|(_, yaml)| yaml["pricing"]["models"].is_object());
    assert!(priced.len() >= 12, "only {} files show prices", priced.len());
    for (file, yaml) in &priced {
        for (model, entry) in yaml["pricing"]["models"].as_object().expect("models") {
            let price: Value =
                ["per_call", "per_image", "per_second"].map(|unit| entry[unit].clone()).into();
            let (first, known) =
                prices.entry(model.clone()).or_insert_with(|| (file.clone(), price.clone()));
            assert_eq!(*known, price, "{model}: {first} and {file}");
        }
    }
}

#[test]
fn whoever_listens_on_a_network_listens_there_on_both_families() {
    let mut everywhere = 0;
    for (file, yaml) in shipped() {
        for listener in ["listen", "admin"] {
            let Some(text) = yaml[listener]["address"].as_str() else { continue };
            let address: SocketAddr = text.parse().expect(text);
            assert_ne!(
                address.ip(),
                Ipv4Addr::UNSPECIFIED,
                "{file}: {listener}.address is no address of IPv6"
            );
            everywhere += usize::from(address.ip().is_unspecified());
        }
    }
    assert!(everywhere >= 14, "only {everywhere} addresses are every address");
}
