import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.*;
import javax.imageio.ImageIO;

/**
 * Adapts a Whet bundle to labelled pictures and predicts others, with onnxruntime and nothing of Whet; on Android the same classes are in
 * onnxruntime-android. Arguments: BUNDLE SUPPORT QUERY [PATTERN]; folders of class/picture, of the bundle's size. The answer is a line of JSON.
 */
public final class Whet {
  /** Numbers of a shape. */
  record Array(float[] data, long... shape) {}

  private static final OrtEnvironment ORT = OrtEnvironment.getEnvironment();
  private final Path bundle;
  private final JsonNode manifest;
  private final JsonNode pattern;

  private Whet(Path bundle, String name) throws IOException {
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
        Array feed = feeds.get(name);
        taken.put(name, OnnxTensor.createTensor(ORT, FloatBuffer.wrap(feed.data()), feed.shape()));
      }
      try (OrtSession.Result result = graph.run(taken)) {
        for (Map.Entry<String, ai.onnxruntime.OnnxValue> each : result) {
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
        int at = 8 + length + opened.get(0).asInt();
        int kept = 0;
        for (int i = 0; i < opened.get(1).asInt() + 8 + length - at; i++) if (file.get(at + i) != 0) data[kept++] = data[i];
        data = Arrays.copyOf(data, kept);
        shape = new long[] {kept};
      }
      found.put(each.getKey(), new Array(data, shape));
    }
    return found;
  }

  /** Pictures [N, C, H, W] of the folders of classes, and the class of each, added to `labels`. */
  private Array images(File folder, List<String> labels) throws IOException {
    JsonNode p = manifest.get("preprocessing");
    int width = p.get("width").asInt(), height = p.get("height").asInt(), channels = p.get("channels").asInt();
    List<float[]> all = new ArrayList<>();
    for (String name : new TreeSet<>(List.of(folder.list()))) {
      for (File file : new TreeSet<>(List.of(new File(folder, name).listFiles()))) {
        var picture = ImageIO.read(file);
        if (picture.getWidth() != width || picture.getHeight() != height) throw new IOException(file + ": expected " + width + " x " + height);
        float[] image = new float[channels * height * width];
        int[] pixel = new int[4];
        for (int i = 0; i < image.length; i++) {
          int c = i / (height * width);
          double value = picture.getRaster().getPixel(i % width, i / width % height, pixel)[c] / 255.0;
          if (p.get("invert").asBoolean()) value = 1 - value;
          image[i] = (float) ((value - p.get("mean").get(c).asDouble()) / p.get("std").get(c).asDouble());
        }
        all.add(image);
        labels.add(name);
      }
    }
    float[] data = new float[all.size() * all.get(0).length];
    for (int i = 0; i < all.size(); i++) System.arraycopy(all.get(i), 0, data, i * all.get(i).length, all.get(i).length);
    return new Array(data, all.size(), channels, height, width);
  }

  public static void main(String[] args) throws Exception {
    Whet whet = new Whet(Path.of(args[0]), args.length > 3 ? args[3] : "");
    OrtSession encode = whet.open("encode"), step = whet.open("step");
    List<String> names = new ArrayList<>(), asked = new ArrayList<>();
    Map<String, Array> known = new HashMap<>(Map.of("images", whet.images(new File(args[1]), names)));
    List<String> classes = List.copyOf(new TreeSet<>(names));
    float[] oneHot = new float[names.size() * classes.size()];
    for (int i = 0; i < names.size(); i++) oneHot[i * classes.size() + classes.indexOf(names.get(i))] = 1;
    known.put("labels", new Array(oneHot, names.size(), classes.size()));
    known.put("features", encode == null ? known.get("images") : run(encode, known).get("features"));
    known.put("rate", new Array(new float[] {(float) whet.pattern.get("rate").asDouble()}));
    Map<String, Array> moves = whet.starts();
    known.putAll(moves);
    moves.putAll(run(whet.open("start"), known));
    List<Float> losses = new ArrayList<>();
    for (int i = 0; i < whet.pattern.get("steps").asInt(); i++) {
      known.putAll(moves);
      Map<String, Array> next = run(step, known);
      losses.add(next.get("loss").data()[0]);
      moves.replaceAll((name, value) -> next.get(name + "@next"));
    }
    Array queries = whet.images(new File(args[2]), asked);
    moves.put("features", encode == null ? queries : run(encode, Map.of("images", queries)).get("features"));
    float[] probabilities = run(whet.open("predict"), moves).get("probabilities").data();
    System.out.println(new ObjectMapper().writeValueAsString(Map.of("classes", classes, "losses", losses, "asked", asked, "probabilities", probabilities)));
  }
}
