"""llama.cpp's server with a llama of random weights: `llama.py <port>`. Bytes are its tokens. Ends with its standard input."""

import sys
import tempfile

import gguf
import numpy
import xllamacpp

VOCABULARY, WIDTH, LAYERS, HEADS, FEED = 3 + 256, 64, 2, 4, 128
END = 2


def write_model(path):
    random = numpy.random.default_rng(7)
    model = gguf.GGUFWriter(path, "llama")
    model.add_name("random")
    model.add_context_length(32768)
    model.add_embedding_length(WIDTH)
    model.add_block_count(LAYERS)
    model.add_feed_forward_length(FEED)
    model.add_head_count(HEADS)
    model.add_head_count_kv(HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_rope_dimension_count(WIDTH // HEADS)
    model.add_vocab_size(VOCABULARY)
    model.add_file_type(gguf.LlamaFileType.ALL_F32)
    model.add_tokenizer_model("llama")
    model.add_token_list(["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)])
    model.add_token_scores([0.0] * VOCABULARY)
    model.add_token_types([gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.BYTE] * 256)
    model.add_unk_token_id(0)
    model.add_bos_token_id(1)
    model.add_eos_token_id(END)

    def random_weights(name, *shape, louder=None):
        weights = random.standard_normal(shape) * 0.1
        if louder is not None:
            weights[louder] *= 8
        model.add_tensor(f"{name}.weight", weights.astype(numpy.float32))

    def ones(name):
        model.add_tensor(f"{name}.weight", numpy.ones(WIDTH, dtype=numpy.float32))

    random_weights("token_embd", VOCABULARY, WIDTH)
    ones("output_norm")
    random_weights("output", VOCABULARY, WIDTH, louder=END)  # it ends now and then
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            random_weights(f"{block}.{part}", WIDTH, WIDTH)
        random_weights(f"{block}.ffn_gate", FEED, WIDTH)
        random_weights(f"{block}.ffn_up", FEED, WIDTH)
        random_weights(f"{block}.ffn_down", WIDTH, FEED)
        ones(f"{block}.attn_norm")
        ones(f"{block}.ffn_norm")
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


with tempfile.TemporaryDirectory() as folder:
    write_model(f"{folder}/random.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = f"{folder}/random.gguf"
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = int(sys.argv[1])
    parameters.offline = True
    parameters.ui = False
    parameters.use_jinja = True
    parameters.warmup = False
    parameters.n_ctx = 65536
    parameters.n_parallel = 2
    parameters.cpuparams.n_threads = 1
    parameters.sampling.seed = 7
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()
