// SPDX-License-Identifier: MIT
// Go's net/http. Speaks on stdin and stdout as npm.mjs does.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
)

const (
	question   = "Say a few words."
	limit      = 16        // tokens
	soundBytes = 3_000_000 // more than NGINX keeps in memory
)

type object = map[string]any

type refused struct {
	Status  *int   `json:"status"`
	Message string `json:"message"`
}

func (r refused) Error() string { return r.Message }

func send(method, url, key, contentType string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	answer, err := http.DefaultClient.Do(request)
	if err == nil && answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return nil, refused{&answer.StatusCode, string(text)}
	}
	return answer, err
}

func read[T any](answer *http.Response, err error) (value T, _ error) {
	if err != nil {
		return value, err
	}
	defer answer.Body.Close()
	return value, json.NewDecoder(answer.Body).Decode(&value)
}

func post(url, key string, body object) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return send("POST", url, key, "application/json", bytes.NewReader(text))
}

func asking(model string, stream bool) object {
	messages := []object{{"role": "user", "content": question}}
	return object{"model": model, "messages": messages, "max_tokens": limit, "stream": stream}
}

type choices struct {
	Choices []struct {
		Message, Delta struct{ Content string }
	}
}

func models(base, model, key string) (any, error) {
	list, err := read[struct{ Data []struct{ ID string } }](send("GET", base+"/models", key, "", nil))
	names := []string{}
	for _, each := range list.Data {
		names = append(names, each.ID)
	}
	return names, err
}

func chat(base, model, key string) (any, error) {
	answer, err := read[choices](post(base+"/chat/completions", key, asking(model, false)))
	if err != nil {
		return nil, err
	}
	return answer.Choices[0].Message.Content, nil
}

func stream(base, model, key string) (any, error) {
	answer, err := post(base+"/chat/completions", key, asking(model, true))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	pieces, lines := []string{}, bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "data: {") {
			continue
		}
		var event choices
		if err := json.Unmarshal(lines.Bytes()[len("data: "):], &event); err != nil {
			return nil, err
		}
		for _, each := range event.Choices {
			if each.Delta.Content != "" {
				pieces = append(pieces, each.Delta.Content)
			}
		}
	}
	return pieces, lines.Err()
}

func embed(base, model, key string) (any, error) {
	type list = struct {
		Data []struct{ Embedding []float64 }
	}
	answer, err := read[list](post(base+"/embeddings", key, object{"model": model, "input": []string{question, "And more."}}))
	sizes := []int{}
	for _, each := range answer.Data {
		sizes = append(sizes, len(each.Embedding))
	}
	return sizes, err
}

// As Go programs upload: by a pipe, without a Content-Length.
func upload(base, model, key string) (any, error) {
	body, out := io.Pipe()
	form := multipart.NewWriter(out)
	go func() {
		file, err := form.CreateFormFile("file", "speech.wav")
		if err == nil {
			_, err = file.Write(make([]byte, soundBytes))
		}
		if err == nil {
			err = form.WriteField("model", model)
		}
		if err == nil {
			err = form.Close()
		}
		out.CloseWithError(err)
	}()
	return read[object](send("POST", base+"/audio/transcriptions", key, form.FormDataContentType(), body))
}

func main() {
	verbs := map[string]func(base, model, key string) (any, error){
		"models": models, "chat": chat, "stream": stream, "embed": embed, "upload": upload,
	}
	out := json.NewEncoder(os.Stdout)
	out.Encode(object{"got": []string{"models", "chat", "stream", "embed", "upload"}})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		asked := strings.Split(lines.Text(), "\t")
		got, err := verbs[asked[0]](asked[1], asked[2], asked[3])
		var no refused
		switch {
		case errors.As(err, &no):
			out.Encode(object{"error": no})
		case err != nil:
			out.Encode(object{"error": refused{nil, fmt.Sprint(err)}})
		default:
			out.Encode(object{"got": got})
		}
	}
}
