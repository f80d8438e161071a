package whet;

import ai.onnxruntime.*;
import com.fasterxml.jackson.databind.*;
import java.io.IOException;
import java.nio.*;
import java.nio.file.*;
import java.util.*;

/** A pattern of a Whet bundle that learns, with onnxruntime and nothing of Whet: on a desktop, and on Android, where onnxruntime-android has the same classes. */
public final class Whet {
  /** Numbers of a shape. */
  public record Array(float[] data, long... shape) {}

  /** What was learned: the classes, the loss before each step, and values of the pattern by their names. */
  public record Adapted(List<String> classes, List<Float> losses, Map<String, Array> values) {}

  /** Channel c of a pixel, 0 to 255. */
  public interface Pixels { int at(int x, int y, int c); }

  private static final OrtEnvironment ORT = OrtEnvironment.getEnvironment();
  private final Path bundle;
  private final JsonNode manifest, pattern;

  /** The pattern of this name, or the bundle's default where it is empty. */
  public Whet(Path bundle, String name) throws IOException {
    this.bundle = bundle;
    manifest = new ObjectMapper().readTree(bundle.resolve("manifest.json").toFile());
    pattern = manifest.get("patterns").get(name.isEmpty() ? manifest.get("defaultPattern").asText() : name);
  }

  /** A graph of the pattern; null where it has none of that kind. */
  private OrtSession open(String graph) throws OrtException {
    JsonNode path = pattern.get("graphs").get(graph);
    return path == null || path.isNull() ? null : ORT.createSession(bundle.resolve(path.asText()).toString());
  }

  /** What a graph makes of those of the feeds that it takes. */
  private static Map<String, Array> run(OrtSession graph, Map<String, Array> feeds) throws OrtException {
    Map<String, OnnxTensor> taken = new HashMap<>();
    Map<String, Array> made = new HashMap<>();
    try {
      for (String name : graph.getInputNames()) {
        taken.put(name, OnnxTensor.createTensor(ORT, FloatBuffer.wrap(feeds.get(name).data()), feeds.get(name).shape()));
      }
      try (OrtSession.Result result = graph.run(taken)) {
        for (Map.Entry<String, OnnxValue> each : result) {
          OnnxTensor tensor = (OnnxTensor) each.getValue();
          float[] data = new float[tensor.getFloatBuffer().remaining()];
          tensor.getFloatBuffer().get(data);
          made.put(each.getKey(), new Array(data, tensor.getInfo().getShape()));
        }
      }
    } finally {
      taken.values().forEach(OnnxTensor::close);
    }
    return made;
  }

  /** Where what moves below the head starts: float32 tensors of the bundle's weights, or those entries that a mask opens. */
  private Map<String, Array> starts() throws IOException {
    ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(bundle.resolve(manifest.get("weights").asText())));
    file.order(ByteOrder.LITTLE_ENDIAN);
    int length = (int) file.getLong(0);
    JsonNode header = new ObjectMapper().readTree(Arrays.copyOfRange(file.array(), 8, 8 + length));
    Map<String, Array> found = new HashMap<>();
    for (Map.Entry<String, JsonNode> each : pattern.get("values").properties()) {
      JsonNode place = header.get(each.getValue().get("tensor").asText());
      if (!place.get("dtype").asText().equals("F32")) throw new IOException(each.getKey() + ": expected F32, got " + place.get("dtype"));
      int from = 8 + length + place.get("data_offsets").get(0).asInt();
      float[] data = new float[(place.get("data_offsets").get(1).asInt() + 8 + length - from) / 4];
      for (int i = 0; i < data.length; i++) data[i] = file.getFloat(from + 4 * i);
      long[] shape = new long[place.get("shape").size()];
      for (int i = 0; i < shape.length; i++) shape[i] = place.get("shape").get(i).asLong();
      JsonNode mask = each.getValue().get("mask");
      if (mask != null) {
        JsonNode opened = header.get(mask.asText()).get("data_offsets");
        int at = 8 + length + opened.get(0).asInt(), kept = 0;
        for (int i = 0; i < opened.get(1).asInt() + 8 + length - at; i++) if (file.get(at + i) != 0) data[kept++] = data[i];
        data = Arrays.copyOf(data, kept);
        shape = new long[] {kept};
      }
      found.put(each.getKey(), new Array(data, shape));
    }
    return found;
  }

  /** How a picture becomes numbers. */
  public JsonNode preprocessing() {
    return manifest.get("preprocessing");
  }

  /** A picture [C, H, W], of pixels of the network's size. */
  public float[] image(Pixels pixel) {
    JsonNode p = preprocessing();
    int width = p.get("width").asInt(), height = p.get("height").asInt();
    float[] image = new float[p.get("channels").asInt() * height * width];
    for (int i = 0; i < image.length; i++) {
      int c = i / (height * width);
      double value = pixel.at(i % width, i / width % height, c) / 255.0;
      if (p.get("invert").asBoolean()) value = 1 - value;
      image[i] = (float) ((value - p.get("mean").get(c).asDouble()) / p.get("std").get(c).asDouble());
    }
    return image;
  }

  /** What the frozen part makes of pictures. */
  private Array features(List<float[]> images) throws OrtException {
    JsonNode p = preprocessing();
    FloatBuffer all = FloatBuffer.allocate(images.size() * images.get(0).length);
    images.forEach(all::put);
    Array stacked = new Array(all.array(), images.size(), p.get("channels").asInt(), p.get("height").asInt(), p.get("width").asInt());
    try (OrtSession encode = open("encode")) {
      return encode == null ? stacked : run(encode, Map.of("images", stacked)).get("features");
    }
  }

  /** Takes the pattern's steps on examples of two classes or more. */
  public Adapted adapt(List<float[]> images, List<String> labels) throws IOException, OrtException {
    List<String> classes = List.copyOf(new TreeSet<>(labels));
    float[] oneHot = new float[labels.size() * classes.size()];
    for (int i = 0; i < labels.size(); i++) oneHot[i * classes.size() + classes.indexOf(labels.get(i))] = 1;
    Map<String, Array> known = new HashMap<>(Map.of("features", features(images)));
    known.put("labels", new Array(oneHot, labels.size(), classes.size()));
    known.put("rate", new Array(new float[] {(float) pattern.get("rate").asDouble()}));
    Map<String, Array> moves = starts();
    known.putAll(moves);
    List<Float> losses = new ArrayList<>();
    try (OrtSession start = open("start"); OrtSession step = open("step")) {
      moves.putAll(run(start, known));
      for (int i = 0; i < pattern.get("steps").asInt(); i++) {
        known.putAll(moves);
        Map<String, Array> next = run(step, known);
        losses.add(next.get("loss").data()[0]);
        moves.replaceAll((name, value) -> next.get(name + "@next"));
      }
    }
    return new Adapted(classes, losses, moves);
  }

  /** The probability of each class, picture by picture. */
  public float[] predict(Adapted adapted, List<float[]> images) throws OrtException {
    Map<String, Array> known = new HashMap<>(adapted.values());
    known.put("features", features(images));
    try (OrtSession predict = open("predict")) {
      return run(predict, known).get("probabilities").data();
    }
  }
}
