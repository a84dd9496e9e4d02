// APIMeta
