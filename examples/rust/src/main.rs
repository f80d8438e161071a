//! Adapts a Whet bundle to labelled pictures and predicts others, with onnxruntime and nothing of Whet. Arguments: BUNDLE SUPPORT QUERY [PATTERN];
//! folders of class/picture.png, of the bundle's size. The answer is a line of JSON. ORT_DYLIB_PATH names the library of onnxruntime.

use ort::{environment::Environment, session::Session, value::Tensor};
use serde_json::{Value, json};
use std::{collections::BTreeMap, error::Error, fs, path::Path};

type Fallible<T> = Result<T, Box<dyn Error>>;
type Arrays = BTreeMap<String, Array>;

/// Numbers of a shape.
#[derive(Clone)]
struct Array {
    shape: Vec<i64>,
    data: Vec<f32>,
}

struct Bundle<'a> {
    folder: &'a Path,
    manifest: &'a Value,
    pattern: &'a Value,
    onnxruntime: Environment,
}

impl Bundle<'_> {
    /// A graph of the pattern; none where it has none of that kind.
    fn open(&self, graph: &str) -> Fallible<Option<Session>> {
        let Some(path) = self.pattern["graphs"][graph].as_str() else { return Ok(None) };
        Ok(Some(Session::builder(&self.onnxruntime)?.commit_from_file(self.folder.join(path))?))
    }

    /// Where what moves below the head starts: float32 tensors of the bundle's weights, or those entries that a mask opens.
    fn starts(&self) -> Fallible<Arrays> {
        let file = fs::read(self.folder.join(text(&self.manifest["weights"])?))?;
        let length = 8 + u64::from_le_bytes(file[..8].try_into()?) as usize;
        let header: Value = serde_json::from_slice(&file[8..length])?;
        let bytes = |tensor: &Value| -> Fallible<&[u8]> {
            let [from, to] = [0, 1].map(|i| tensor["data_offsets"][i].as_u64().map(|at| length + at as usize));
            Ok(&file[from.ok_or("expected offsets")?..to.ok_or("expected offsets")?])
        };
        let mut found = Arrays::new();
        for (name, place) in self.pattern["values"].as_object().ok_or("values: expected an object")? {
            let tensor = &header[text(&place["tensor"])?];
            let stored =
                if tensor["dtype"] == "F32" { bytes(tensor)? } else { Err(format!("{name}: expected F32, got {}", tensor["dtype"]))? };
            let mut data: Vec<f32> = stored.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let mut shape: Vec<i64> = serde_json::from_value(tensor["shape"].clone())?;
            if let Some(mask) = place["mask"].as_str() {
                let opened = bytes(&header[mask])?;
                data = data.into_iter().zip(opened).filter(|(_, open)| **open != 0).map(|(value, _)| value).collect();
                shape = vec![data.len() as i64];
            }
            found.insert(name.clone(), Array { shape, data });
        }
        Ok(found)
    }

    /// Pictures [N, C, H, W] of the folders of classes, and the class of each.
    fn images(&self, folder: &Path) -> Fallible<(Array, Vec<String>)> {
        let p = &self.manifest["preprocessing"];
        let [width, height, channels] = ["width", "height", "channels"].map(|key| p[key].as_u64().unwrap_or(0) as usize);
        let (mut data, mut labels) = (Vec::new(), Vec::new());
        for class in sorted(folder)? {
            for file in sorted(&class)? {
                let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(&file)?)).read_info()?;
                let mut pixels = vec![0; reader.output_buffer_size().ok_or("a picture that is too large")?];
                let info = reader.next_frame(&mut pixels)?;
                if (info.width as usize, info.height as usize, info.color_type.samples()) != (width, height, channels) {
                    Err(format!("{}: expected {width} x {height} x {channels}", file.display()))?;
                }
                for c in 0..channels {
                    let [mean, std] = ["mean", "std"].map(|key| p[key][c].as_f64().unwrap_or(0.0));
                    data.extend((0..width * height).map(|i| {
                        let value = f64::from(pixels[i * channels + c]) / 255.0;
                        let value = if p["invert"] == true { 1.0 - value } else { value };
                        ((value - mean) / std) as f32
                    }));
                }
                labels.push(class.file_name().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
        let shape = [labels.len(), channels, height, width].map(|size| size as i64).to_vec();
        Ok((Array { shape, data }, labels))
    }
}

fn text(value: &Value) -> Fallible<&str> {
    Ok(value.as_str().ok_or_else(|| format!("expected a text, got {value}"))?)
}
fn sorted(folder: &Path) -> Fallible<Vec<std::path::PathBuf>> {
    let mut all = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Fallible<Vec<_>>>()?;
    all.sort();
    Ok(all)
}

/// What a graph makes of those of the feeds that it takes.
fn run(graph: &mut Session, feeds: &Arrays) -> Fallible<Arrays> {
    let mut taken = Vec::new();
    for input in graph.inputs() {
        let feed = feeds.get(input.name()).ok_or_else(|| format!("nothing for \"{}\"", input.name()))?;
        taken.push((input.name().to_owned(), Tensor::from_array((feed.shape.clone(), feed.data.clone()))?));
    }
    let mut made = Arrays::new();
    for (name, value) in graph.run(taken)?.iter() {
        let (shape, data) = value.try_extract_tensor::<f32>()?;
        made.insert(name.to_owned(), Array { shape: shape.to_vec(), data: data.to_vec() });
    }
    Ok(made)
}

fn main() -> Fallible<()> {
    let given: Vec<String> = std::env::args().collect();
    let [_, folder, support, query, ..] = given.as_slice() else { return Err("expected BUNDLE SUPPORT QUERY [PATTERN]".into()) };
    let manifest: Value = serde_json::from_slice(&fs::read(Path::new(folder).join("manifest.json"))?)?;
    let pattern = &manifest["patterns"][given.get(4).map_or(text(&manifest["defaultPattern"])?, String::as_str)];
    let bundle = Bundle { folder: Path::new(folder), manifest: &manifest, pattern, onnxruntime: ort::init().build()? };

    let (images, labels) = bundle.images(Path::new(support))?;
    let classes: Vec<_> = labels.chunk_by(|a, b| a == b).map(|same| same[0].clone()).collect();
    let one_hot = labels.iter().flat_map(|label| classes.iter().map(move |class| f32::from(class == label))).collect();
    let mut encode = bundle.open("encode")?;
    let mut features = |images: Array| -> Fallible<Array> {
        let Some(graph) = &mut encode else { return Ok(images) };
        run(graph, &Arrays::from([("images".into(), images)]))?.remove("features").ok_or("encode: expected features".into())
    };
    let mut known = Arrays::from([
        ("labels".into(), Array { shape: vec![labels.len() as i64, classes.len() as i64], data: one_hot }),
        ("features".into(), features(images)?),
        ("rate".into(), Array { shape: vec![], data: vec![pattern["rate"].as_f64().ok_or("rate: expected a number")? as f32] }),
    ]);
    let mut moves = bundle.starts()?;
    known.extend(moves.clone());
    moves.extend(run(&mut bundle.open("start")?.ok_or("start: expected a graph")?, &known)?);
    let mut step = bundle.open("step")?.ok_or("step: expected a graph")?;
    let mut losses = Vec::new();
    for _ in 0..pattern["steps"].as_u64().unwrap_or(0) {
        known.extend(moves.clone());
        let mut next = run(&mut step, &known)?;
        losses.push(next["loss"].data[0]);
        for (name, value) in &mut moves {
            *value = next.remove(&format!("{name}@next")).ok_or("expected what comes next")?;
        }
    }
    let (queries, asked) = bundle.images(Path::new(query))?;
    moves.insert("features".into(), features(queries)?);
    let told = run(&mut bundle.open("predict")?.ok_or("predict: expected a graph")?, &moves)?;
    println!("{}", json!({ "classes": classes, "losses": losses, "asked": asked, "probabilities": told["probabilities"].data }));
    Ok(())
}
