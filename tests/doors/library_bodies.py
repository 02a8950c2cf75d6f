# SPDX-License-Identifier: MIT
"""What clients' libraries send when they are asked to send the model "tiny": (what sent it, its Content-Type, the body).

Recorded from the libraries, whose version stands with each; the last ones, of libraries for other systems, are written
after their sources.
"""

RECORDED = [
    ("curl 7.88: F", "multipart/form-data; boundary=------------------------376ed0a074ef7616",
     b"--------------------------376ed0a074ef7616\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
     b"Content-Type: application/octet-stream\r\n\r\nRIFF\x00\r\n\r\n"
     b"--------------------------376ed0a074ef7616\r\nContent-Disposition: form-data; name=\"model\"\r\n"
     b"\r\ntiny\r\n--------------------------376ed0a074ef7616--\r\n"),
    ("curl 7.88: F base64", "multipart/form-data; boundary=------------------------993fa0f05cc1d62f",
     b"--------------------------993fa0f05cc1d62f\r\nContent-Disposition: form-data; name=\"model\"\r\n"
     b"\r\ntiny\r\n--------------------------993fa0f05cc1d62f\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n"
     b"Content-Transfer-Encoding: base64\r\n\r\nUklGRgANCg==\r\n"
     b"--------------------------993fa0f05cc1d62f--\r\n"),
    ("curl 7.88: F qp", "multipart/form-data; boundary=------------------------a3df5af8bbd0846e",
     b"--------------------------a3df5af8bbd0846e\r\nContent-Disposition: form-data; name=\"model\"\r\n"
     b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ntiny\r\n"
     b"--------------------------a3df5af8bbd0846e--\r\n"),
    ("curl 7.88: data urlencode", "application/x-www-form-urlencoded",
     b"model=tiny&prompt=a+b%26%C3%A9"),
    ("curl 7.88: d json", "application/x-www-form-urlencoded",
     b"{\"model\": \"tiny\"}"),
    ("curl 7.88: json", "application/json",
     b"{\"model\": \"tiny\"}"),
    ("requests 2.32: files", "multipart/form-data; boundary=837b38a933da8ec20727ab1dd6910075",
     b"--837b38a933da8ec20727ab1dd6910075\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
     b"tiny\r\n--837b38a933da8ec20727ab1dd6910075\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\x00\r\n\r\n"
     b"--837b38a933da8ec20727ab1dd6910075--\r\n"),
    ("requests 2.32: files none", "multipart/form-data; boundary=d582235a6f6e88c03183408921f54ef1",
     b"--d582235a6f6e88c03183408921f54ef1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
     b"tiny\r\n--d582235a6f6e88c03183408921f54ef1\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"\xc3\xa9.wav\"\r\n"
     b"Content-Type: audio/wav\r\n\r\nRIFF\x00\r\n\r\n--d582235a6f6e88c03183408921f54ef1--\r\n"),
    ("requests 2.32: chunked", None,
     b"{\"model\":\"tiny\"}"),
    ("httpx 0.28: files", "multipart/form-data; boundary=301a5a705d691cb719f77020f4d4332a",
     b"--301a5a705d691cb719f77020f4d4332a\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
     b"tiny\r\n--301a5a705d691cb719f77020f4d4332a\r\n"
     b"Content-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nword\r\n"
     b"--301a5a705d691cb719f77020f4d4332a\r\n"
     b"Content-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nsegment\r\n"
     b"--301a5a705d691cb719f77020f4d4332a\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/x-wav\r\n"
     b"\r\nRIFF\x00\r\n\r\n--301a5a705d691cb719f77020f4d4332a--\r\n"),
    ("httpx 0.28: json", "application/json",
     b"{\"prompt\":\"\xc3\xa9\",\"model\":\"tiny\"}"),
    ("aiohttp 3.11: form", "multipart/form-data; boundary=84542f8a5d8a489ea1d90c3ccdf49b17",
     b"--84542f8a5d8a489ea1d90c3ccdf49b17\r\nContent-Type: audio/wav\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\x00\r\n\r\n"
     b"--84542f8a5d8a489ea1d90c3ccdf49b17\r\nContent-Type: text/plain; charset=utf-8\r\n"
     b"Content-Disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n"
     b"--84542f8a5d8a489ea1d90c3ccdf49b17\r\nContent-Type: text/plain; charset=utf-8\r\n"
     b"Content-Disposition: form-data; name=\"language\"\r\n\r\n\xc3\xa9\r\n"
     b"--84542f8a5d8a489ea1d90c3ccdf49b17--\r\n"),
    ("aiohttp 3.11: form base64", "multipart/form-data; boundary=d24d62f50da549d399a8cbabc0ff61d1",
     b"--d24d62f50da549d399a8cbabc0ff61d1\r\nContent-Type: text/plain\r\n"
     b"Content-Disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n"
     b"--d24d62f50da549d399a8cbabc0ff61d1\r\nContent-Type: application/octet-stream\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"%C3%A9.wav\"\r\n\r\nx\r\n"
     b"--d24d62f50da549d399a8cbabc0ff61d1--\r\n"),
    ("aiohttp 3.11: dict", "application/x-www-form-urlencoded",
     b"model=tiny&p=a+b"),
    ("aiohttp 3.11: json", "application/json",
     b"{\"model\": \"tiny\", \"p\": \"\\u00e9\"}"),
    ("openai-python 1.58: audio transcriptions", "multipart/form-data; boundary=6ca660e31ce36399733cf0e7dbe09b50",
     b"--6ca660e31ce36399733cf0e7dbe09b50\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
     b"tiny\r\n--6ca660e31ce36399733cf0e7dbe09b50\r\n"
     b"Content-Disposition: form-data; name=\"timestamp_granularities[]\"\r\n\r\nword\r\n"
     b"--6ca660e31ce36399733cf0e7dbe09b50\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/x-wav\r\n"
     b"\r\nRIFF\x00\r\n\r\n--6ca660e31ce36399733cf0e7dbe09b50--\r\n"),
    ("openai-python 1.58: chat completions", "application/json",
     b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xc3\xa9\xf0\x9f\x98\x80\"}],\"model\":\"tiny\"}"),
    ("openai-python 1.58: images edits", "multipart/form-data; boundary=1e45616d512dea612ca7eab0d2e33a08",
     b"--1e45616d512dea612ca7eab0d2e33a08\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\np\r\n"
     b"--1e45616d512dea612ca7eab0d2e33a08\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
     b"tiny\r\n--1e45616d512dea612ca7eab0d2e33a08\r\n"
     b"Content-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n"
     b"x\r\n--1e45616d512dea612ca7eab0d2e33a08--\r\n"),
    ("undici of Node 20: formdata", "multipart/form-data; boundary=----formdata-undici-075423486000",
     b"------formdata-undici-075423486000\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"\xc3\xa9%22%0D%0A.wav\"\r\n"
     b"Content-Type: audio/wav\r\n\r\nRIFF\x00\r\n\r\n------formdata-undici-075423486000\r\n"
     b"Content-Disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n"
     b"------formdata-undici-075423486000\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na\r\n"
     b"b\r\n------formdata-undici-075423486000--\r\n"),
    ("undici of Node 20: urlsearchparams", "application/x-www-form-urlencoded;charset=UTF-8",
     b"prompt=a+b&model=tiny"),
    ("undici of Node 20: string", "text/plain;charset=UTF-8",
     b"{\"model\":\"tiny\"}"),
    ("undici of Node 20: blob", None,
     b"{\"model\":\"tiny\"}"),
    ("undici of Node 20: empty", "multipart/form-data; boundary=----formdata-undici-056247827997",
     b"------formdata-undici-056247827997--\r\n"),
    ("axios 1.7: json", "application/json",
     b"{\"prompt\":\"\xc3\xa9\",\"model\":\"tiny\"}"),
    ("axios 1.7: form", "multipart/form-data; boundary=--------------------------652947829808299923017321",
     b"----------------------------652947829808299923017321\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wave\r\n\r\n"
     b"RIFF\x00\r\n\r\n----------------------------652947829808299923017321\r\n"
     b"Content-Disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n"
     b"----------------------------652947829808299923017321--\r\n"),
    ("openai-node 4.77: audio transcriptions", "multipart/form-data; boundary=form-data-boundary-d8bdyj95lb6v4xva",
     b"--form-data-boundary-d8bdyj95lb6v4xva\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
     b"tiny\r\n--form-data-boundary-d8bdyj95lb6v4xva\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
     b"Content-Type: application/octet-stream\r\n\r\nRIFF\x00\r\n\r\n"
     b"--form-data-boundary-d8bdyj95lb6v4xva--\r\n\r\n"),
    ("openai-node 4.77: chat completions", "application/json",
     b"{\n  \"model\": \"tiny\",\n  \"messages\": [\n    {\n      \"role\": \"user\",\n      \"content\": \"\xc3\xa9\xf0\x9f\x98\x80\"\n    }\n  ]\n}"),
    ("Go 1.26: multipart", "multipart/form-data; boundary=17bed97b5203c2760369836acb84c646f1dc41b3467473ba289c75350ebf",
     b"--17bed97b5203c2760369836acb84c646f1dc41b3467473ba289c75350ebf\r\n"
     b"Content-Disposition: form-data; name=\"file\"; filename=\"a\\\"\xc3\xa9.wav\"\r\n"
     b"Content-Type: application/octet-stream\r\n\r\nRIFF\x00\r\n\r\n"
     b"--17bed97b5203c2760369836acb84c646f1dc41b3467473ba289c75350ebf\r\n"
     b"Content-Disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n"
     b"--17bed97b5203c2760369836acb84c646f1dc41b3467473ba289c75350ebf--\r\n"),
    ("Go 1.26: postform", "application/x-www-form-urlencoded",
     b"model=tiny&prompt=a+b"),
    ("Go 1.26: json", "application/json",
     b"{\"model\":\"tiny\",\"prompt\":\"\\u003c\xc3\xa9\\u003e\"}"),
    ("JDK 17: string", None,
     b"{\"model\":\"tiny\",\"p\":\"\xc3\xa9\"}"),
]

NET = "7c5d2f0e-6c3e-4d0b-9f0a-0a8f5c1d2e3f"

WRITTEN = [
    (".NET MultipartFormDataContent", f'multipart/form-data; boundary="{NET}"',
     f"--{NET}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=model\r\n\r\ntiny\r\n"
     f"--{NET}\r\nContent-Disposition: form-data; name=file; filename=\"=?utf-8?B?w6kud2F2?=\"; filename*=utf-8''%C3%A9.wav\r\n\r\n"
     f"RIFF\r\n--{NET}--\r\n".encode()),
    ("PowerShell 7 -Form", f'multipart/form-data; boundary="{NET}"',
     f"--{NET}\r\nContent-Disposition: form-data; name=file; filename=a.wav; filename*=utf-8''a.wav\r\n"
     f"Content-Type: application/octet-stream\r\n\r\nRIFF\r\n--{NET}\r\nContent-Type: text/plain; charset=utf-8\r\n"
     f"Content-Disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n--{NET}--\r\n".encode()),
    ("PowerShell 5 -Body of a hash table", "application/x-www-form-urlencoded", b"model=tiny&prompt=a+b"),
    ("PowerShell 5 -InFile, written by Out-File", "application/json", '\ufeff{"model": "tiny", "prompt": "é"}\r\n'.encode("utf-16-le")),
    ("PowerShell 5 -InFile, Set-Content -Encoding utf8", "application/json", '\ufeff{"model": "tiny"}\r\n'.encode()),
    ("Apache HttpClient 4, strict", "multipart/form-data; boundary=Wq1b-6kI7uX_0",
     b"--Wq1b-6kI7uX_0\r\nContent-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain; charset=ISO-8859-1\r\n"
     b"Content-Transfer-Encoding: 8bit\r\n\r\ntiny\r\n--Wq1b-6kI7uX_0--\r\n"),
    ("OkHttp 4", "multipart/form-data; boundary=3f0d2a4e-8d1c-4a34",
     b"--3f0d2a4e-8d1c-4a34\r\nContent-Disposition: form-data; name=\"model\"\r\nContent-Length: 4\r\n\r\ntiny\r\n"
     b"--3f0d2a4e-8d1c-4a34\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n"
     b"Content-Length: 4\r\n\r\nRIFF\r\n--3f0d2a4e-8d1c-4a34--\r\n"),
    ("Spring RestTemplate", "multipart/form-data;charset=UTF-8;boundary=W_-aZ09",
     b"--W_-aZ09\r\nContent-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: 4\r\n\r\n"
     b"tiny\r\n--W_-aZ09--\r\n"),
    ("Firefox", "multipart/form-data; boundary=---------------------------974767299852498929531610575",
     b"-----------------------------974767299852498929531610575\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n"
     b"-----------------------------974767299852498929531610575--\r\n"),
    ("a sketch for a microcontroller, lines of LF", "multipart/form-data; boundary=X",
     b"--X\nContent-Disposition: form-data; name=\"model\"\n\ntiny\n--X--\n"),
    ("a shell script: echo ... | curl --data-binary @-", "application/x-www-form-urlencoded", b'\n  {"model": "tiny"}\n'),
    ("a mail library", "multipart/form-data; boundary=\"===============7330845974216740156==\"",
     b"--===============7330845974216740156==\nContent-Type: text/plain; charset=\"utf-8\"\nMIME-Version: 1.0\n"
     b"Content-Transfer-Encoding: base64\nContent-Disposition: form-data; name=\"model\"\n\ndGlueQ==\n\n"
     b"--===============7330845974216740156==--\n"),
]
