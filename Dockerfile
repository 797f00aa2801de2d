# docker build -t dcgan-completion .
# For NVIDIA GPUs: docker build --build-arg CUDA=1 -t dcgan-completion .
FROM python:3.12-slim
ARG CUDA=
WORKDIR /dcgan-completion
COPY requirements.txt requirements-paint.txt ./
RUN pip install --no-cache-dir -r requirements.txt -r requirements-paint.txt ${CUDA:+"tensorflow[and-cuda]==2.21.*"}
COPY . .
EXPOSE 7860
CMD ["python", "paint.py", "--host", "0.0.0.0"]
