// SPDX-License-Identifier: MIT
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** The JDK's own HttpClient as it comes: each of its requests asks for "Upgrade: h2c". Speaks as npm.mjs does. */
class Jdk {
    static final String MESSAGES = "\"messages\":[{\"role\":\"user\",\"content\":\"Say a few words.\"}],\"max_tokens\":16";
    static final byte[] SOUND = new byte[3_000_000]; // more than NGINX keeps in memory
    static final HttpClient client = HttpClient.newHttpClient();

    static class Refused extends Exception {
        final int status;

        Refused(int status, String message) {
            super(message);
            this.status = status;
        }
    }

    static HttpRequest.Builder to(String url, String key) {
        return HttpRequest.newBuilder(URI.create(url)).header("Authorization", "Bearer " + key);
    }

    static HttpRequest post(String url, String key, String type, byte[] body) {
        return to(url, key).header("Content-Type", type).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
    }

    static HttpRequest post(String url, String key, String body) {
        return post(url, key, "application/json", body.getBytes(StandardCharsets.UTF_8));
    }

    static String text(HttpRequest request) throws Exception {
        HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200)
            throw new Refused(answer.statusCode(), answer.body());
        return answer.body();
    }

    /** The JDK reads no JSON; what these answers have after a name is simple enough. */
    static List<String> after(String name, String value, String text) {
        Matcher found = Pattern.compile("\"" + name + "\":\\s*" + value).matcher(text);
        List<String> all = new ArrayList<>();
        while (found.find())
            all.add(found.group(1));
        return all;
    }

    static final String STRING = "(\"(?:[^\"\\\\]|\\\\.)*\")";

    static byte[] form(String model) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        String file = "--part\r\nContent-Disposition: form-data; name=\"file\"; filename=\"speech.wav\"\r\n\r\n";
        String field = "\r\n--part\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n" + model + "\r\n--part--\r\n";
        out.write(file.getBytes(StandardCharsets.UTF_8));
        out.write(SOUND);
        out.write(field.getBytes(StandardCharsets.UTF_8));
        return out.toByteArray();
    }

    static String list(List<String> values) {
        return "[" + String.join(",", values) + "]";
    }

    static String got(String what, String base, String model, String key) throws Exception {
        String named = "{\"model\":\"" + model + "\",";
        switch (what) {
        case "models":
            return list(after("id", STRING, text(to(base + "/models", key).build())));
        case "chat":
            return after("content", STRING, text(post(base + "/chat/completions", key, named + MESSAGES + "}"))).get(0);
        case "stream": {
            HttpRequest request = post(base + "/chat/completions", key, named + "\"stream\":true," + MESSAGES + "}");
            HttpResponse<java.util.stream.Stream<String>> answer = client.send(request, HttpResponse.BodyHandlers.ofLines());
            String lines = answer.body().collect(Collectors.joining("\n"));
            if (answer.statusCode() != 200)
                throw new Refused(answer.statusCode(), lines);
            return list(after("content", STRING, lines));
        }
        case "embed": {
            String text = text(post(base + "/embeddings", key, named + "\"input\":[\"Say a few words.\",\"And more.\"]}"));
            return list(after("embedding", "\\[([^\\]]*)\\]", text).stream()
                    .map(each -> String.valueOf(each.split(",").length)).collect(Collectors.toList()));
        }
        case "upload":
            return text(post(base + "/audio/transcriptions", key, "multipart/form-data; boundary=part", form(model)));
        default:
            throw new IllegalArgumentException(what);
        }
    }

    static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char each : text.toCharArray())
            out.append(each < 0x20 || each == '"' || each == '\\' ? String.format("\\u%04x", (int) each) : each);
        return out.append('"').toString();
    }

    public static void main(String[] arguments) throws IOException {
        System.out.println("{\"got\":[\"models\",\"chat\",\"stream\",\"embed\",\"upload\"]}");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null;) {
            String[] asked = line.split("\t", -1);
            try {
                System.out.println("{\"got\":" + got(asked[0], asked[1], asked[2], asked[3]).replace("\n", " ") + "}");
            } catch (Refused refused) {
                System.out.println("{\"error\":{\"status\":" + refused.status + ",\"message\":" + quoted(refused.getMessage()) + "}}");
            } catch (Exception error) {
                System.out.println("{\"error\":{\"status\":null,\"message\":" + quoted(String.valueOf(error)) + "}}");
            }
        }
        System.exit(0); // the client's threads would stay a while
    }
}
