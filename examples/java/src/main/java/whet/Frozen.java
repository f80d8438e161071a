package whet;

import ai.onnxruntime.*;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.ByteBuffer;
import java.util.Map;
import javax.imageio.ImageIO;

/** Classifies pictures by a profile that `whet freeze --pixels` made one ONNX model. Arguments: MODEL PICTURE...; a line of JSON each. */
final class Frozen {
  public static void main(String[] args) throws Exception {
    var json = new ObjectMapper();
    var ort = OrtEnvironment.getEnvironment();
    try (var model = ort.createSession(args[0])) {
      String[] classes = json.readValue(model.getMetadata().getCustomMetadata().get("classes"), String[].class);
      int channels = (int) ((TensorInfo) model.getInputInfo().get("pixels").getInfo()).getShape()[3];
      for (int i = 1; i < args.length; i++) {
        var picture = ImageIO.read(new File(args[i]));
        int width = picture.getWidth(), height = picture.getHeight();
        var pixels = ByteBuffer.allocateDirect(width * height * channels);
        for (int y = 0; y < height; y++) {
          for (int x = 0; x < width; x++) {
            for (int c = 0; c < channels; c++) pixels.put((byte) picture.getRaster().getSample(x, y, c));
          }
        }
        long[] shape = {1, height, width, channels};
        try (var input = OnnxTensor.createTensor(ort, pixels.rewind(), shape, OnnxJavaType.UINT8);
            var result = model.run(Map.of("pixels", input))) {
          float[] row = ((float[][]) result.get("probabilities").get().getValue())[0];
          int best = 0;
          for (int k = 1; k < row.length; k++) if (row[k] > row[best]) best = k;
          System.out.println(json.writeValueAsString(Map.of("picture", args[i], "class", classes[best], "probabilities", row)));
        }
      }
    }
  }
}
