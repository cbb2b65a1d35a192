"""One network from a file, by ONNX Runtime, OpenVINO or ncnn, as a process that serves timed runs (serve.py).

    peer_file.py MODEL.onnx|MODEL.ncnn.param INPUTS.npz OUTPUTS --how onnxruntime|openvino|ncnn [--threads N]

OUTPUTS are the names of the outputs in order, with commas between.
"""
import argparse

import numpy as np

from serve import serve


def by_onnxruntime(path, inputs, names, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(names, inputs), ort.__version__


def by_openvino(path, inputs, names, threads):
    import openvino
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(path, "CPU", settings)
    request = model.create_infer_request()

    def step():
        request.infer(inputs, share_inputs=True, share_outputs=True)
        return [request.get_tensor(n).data for n in names]
    return step, openvino.__version__


def by_ncnn(path, inputs, names, threads):
    import ncnn
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    if net.load_param(path) or net.load_model(path[:-len("param")] + "bin"):
        raise SystemExit("ncnn cannot load " + path)
    mats = [ncnn.Mat(v[0]).clone() for v in inputs.values()]

    def step():
        extractor = net.create_extractor()
        for i, mat in enumerate(mats):
            extractor.input("in%d" % i, mat)
        results = []
        for i in range(len(names)):
            code, mat = extractor.extract("out%d" % i)
            if code:
                raise SystemExit("ncnn cannot run " + path)
            results.append(np.array(mat)[None])
        return results
    return step, ncnn.__version__


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs=3)
    parser.add_argument("--how", required=True, choices=["onnxruntime", "openvino", "ncnn"])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    names = args.files[2].split(",")
    step, version = globals()["by_" + args.how](args.files[0], dict(np.load(args.files[1])), names, args.threads)
    serve(step, lambda results: dict(zip(names, results)), "%s %s" % (args.how, version))


if __name__ == "__main__":
    main()
