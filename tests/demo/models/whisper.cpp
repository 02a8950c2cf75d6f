# A demo model: nothing but the behaviour of a model server (tests/demo/demo-model).
PORT="8200"
COMMAND="/usr/local/libexec/home-lab-services-demo/demo-model --name whisper.cpp --port 8200 --load-seconds 3"
