package whet;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.*;
import javax.imageio.ImageIO;

/** Adapts to pictures and predicts others. Arguments: BUNDLE SUPPORT QUERY [PATTERN]; folders of class/picture, of the bundle's size. The answer is a line of JSON. */
final class Main {
  /** Pictures of the folders of classes, and the class of each, added to `labels`. */
  private static List<float[]> images(Whet whet, File folder, List<String> labels) throws IOException {
    JsonNode p = whet.preprocessing();
    int width = p.get("width").asInt(), height = p.get("height").asInt();
    List<float[]> all = new ArrayList<>();
    for (String name : new TreeSet<>(List.of(folder.list()))) {
      for (File file : new TreeSet<>(List.of(new File(folder, name).listFiles()))) {
        var picture = ImageIO.read(file);
        if (picture.getWidth() != width || picture.getHeight() != height) throw new IOException(file + ": expected " + width + " x " + height);
        all.add(whet.image((x, y, c) -> picture.getRaster().getSample(x, y, c)));
        labels.add(name);
      }
    }
    return all;
  }

  public static void main(String[] args) throws Exception {
    Whet whet = new Whet(Path.of(args[0]), args.length > 3 ? args[3] : "");
    List<String> labels = new ArrayList<>(), asked = new ArrayList<>();
    Whet.Adapted adapted = whet.adapt(images(whet, new File(args[1]), labels), labels);
    float[] probabilities = whet.predict(adapted, images(whet, new File(args[2]), asked));
    System.out.println(new ObjectMapper().writeValueAsString(Map.of(
        "classes", adapted.classes(), "losses", adapted.losses(), "asked", asked, "probabilities", probabilities)));
  }
}
