package whet.example;

import android.app.Activity;
import android.content.ClipData;
import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.net.Uri;
import android.os.Bundle;
import android.widget.Button;
import android.widget.LinearLayout;
import android.widget.TextView;
import java.io.*;
import java.nio.file.Path;
import java.util.*;
import java.util.concurrent.*;
import whet.Whet;

/**
 * Learns two classes from pictures of the phone, and tells which another picture is of. The bundle's files stand in the app's assets, in `bundle/`; `Whet`
 * is the class of examples/java, on onnxruntime-android.
 */
public final class AdaptActivity extends Activity {
  private static final String[] CLASSES = {"first", "second"};
  private static final int ASK = CLASSES.length;

  private final ExecutorService worker = Executors.newSingleThreadExecutor();
  private final List<float[]> images = new ArrayList<>();
  private final List<String> labels = new ArrayList<>();
  private Whet whet;
  private Whet.Adapted adapted;
  private TextView answer;

  @Override
  protected void onCreate(Bundle saved) {
    super.onCreate(saved);
    LinearLayout column = new LinearLayout(this);
    column.setOrientation(LinearLayout.VERTICAL);
    for (int request = 0; request <= ASK; request++) {
      Button button = new Button(this);
      button.setText(request == ASK ? "What is this?" : "Pictures of the " + CLASSES[request]);
      int asked = request;
      button.setOnClickListener(view -> startActivityForResult(
          new Intent(Intent.ACTION_GET_CONTENT).setType("image/*").putExtra("android.intent.extra.ALLOW_MULTIPLE", asked != ASK), asked));
      column.addView(button);
    }
    answer = new TextView(this);
    column.addView(answer);
    setContentView(column);
    compute(() -> {
      whet = new Whet(copied("bundle"), "");
      return "ready";
    });
  }

  @Override
  protected void onActivityResult(int request, int result, Intent data) {
    if (result != RESULT_OK || data == null) return;
    List<Uri> chosen = new ArrayList<>();
    ClipData several = data.getClipData();
    if (several == null) chosen.add(data.getData());
    else for (int i = 0; i < several.getItemCount(); i++) chosen.add(several.getItemAt(i).getUri());
    compute(() -> {
      List<float[]> read = new ArrayList<>();
      for (Uri picture : chosen) read.add(image(picture));
      return request == ASK ? tell(read) : teach(CLASSES[request], read);
    });
  }

  private String teach(String label, List<float[]> read) throws Exception {
    images.addAll(read);
    labels.addAll(Collections.nCopies(read.size(), label));
    if (new HashSet<>(labels).size() < CLASSES.length) return "now pictures of the other";
    adapted = whet.adapt(images, labels);
    return "learned from " + labels.size();
  }

  private String tell(List<float[]> read) throws Exception {
    if (adapted == null) return "first pictures of both classes";
    float[] probabilities = whet.predict(adapted, read);
    int best = 0;
    for (int i = 1; i < adapted.classes().size(); i++) if (probabilities[i] > probabilities[best]) best = i;
    return adapted.classes().get(best) + ", " + Math.round(100 * probabilities[best]) + " %";
  }

  /** A picture of the network's size, in grey where it takes one channel. Android scales in its own way: bring pictures to that size as the bundle says where it counts. */
  private float[] image(Uri picture) throws IOException {
    int width = whet.preprocessing().get("width").asInt(), height = whet.preprocessing().get("height").asInt();
    boolean isGrey = whet.preprocessing().get("channels").asInt() == 1;
    try (InputStream file = getContentResolver().openInputStream(picture)) {
      Bitmap bitmap = Bitmap.createScaledBitmap(BitmapFactory.decodeStream(file), width, height, true);
      return whet.image((x, y, c) -> {
        int pixel = bitmap.getPixel(x, y), red = pixel >> 16 & 255, green = pixel >> 8 & 255, blue = pixel & 255;
        if (isGrey) return (red * 299 + green * 587 + blue * 114 + 500) / 1000;
        return c == 0 ? red : c == 1 ? green : blue;
      });
    }
  }

  /** A folder of the app's assets, as files that onnxruntime can open. */
  private Path copied(String folder) throws IOException {
    File into = new File(getFilesDir(), folder);
    into.mkdirs();
    for (String name : getAssets().list(folder)) {
      try (InputStream from = getAssets().open(folder + "/" + name); OutputStream to = new FileOutputStream(new File(into, name))) {
        byte[] part = new byte[1 << 16];
        for (int length = from.read(part); length >= 0; length = from.read(part)) to.write(part, 0, length);
      }
    }
    return into.toPath();
  }

  /** Runs what takes time in a thread of its own, and says what came of it. */
  private void compute(Callable<String> work) {
    worker.execute(() -> {
      String said;
      try {
        said = work.call();
      } catch (Exception problem) {
        said = problem.getMessage();
      }
      String told = said;
      runOnUiThread(() -> answer.setText(told));
    });
  }

  @Override
  protected void onDestroy() {
    worker.shutdownNow();
    super.onDestroy();
  }
}
